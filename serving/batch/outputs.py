"""Output of scored rows: to a file, in parts that survive a kill, or to standard output."""

import fcntl
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path

from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file, read_json, write_json
from commentwise.serving.batch.writers import RowFormat, join_bytes


@dataclass(frozen=True)
class ScoredChunk:
    """The results of a chunk of rows, encoded for writing."""

    rows: bytes
    rejects: bytes
    labels: dict[str, int]
    """Comments per label."""
    reasons: dict[str, int]
    """Rejected rows per kind of fault."""
    position: int
    """Bytes of the inputs that were read when the chunk was complete."""

    @property
    def rejected(self) -> int:
        """Rows that could not be scored."""
        return sum(self.reasons.values())


@dataclass
class Totals:
    """Counts of what was written so far."""

    chunks: int = 0
    rows: int = 0
    rejected: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, chunk: ScoredChunk) -> None:
        """Count a chunk."""
        self.chunks += 1
        self.rows += sum(chunk.labels.values())
        self.rejected += chunk.rejected
        for label, count in chunk.labels.items():
            self.labels[label] = self.labels.get(label, 0) + count
        for reason, count in chunk.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count


def partial_folder(path: Path) -> Path:
    """The folder with the parts of an output that is not complete."""
    return Path(f"{path}.partial")


class PartialFile:
    """An output file that is written in parts, which are kept in a folder beside it until it is complete.

    state.json holds the number of finished parts and the work they belong to; further parts were written by a process
    that was killed, and are overwritten.
    """

    def __init__(self, path: Path, rejects: Path, form: RowFormat, work: dict[str, str], restart: bool) -> None:
        """Continue with the parts beside `path`, or without them if `restart`.

        Raises CommentwiseError if they belong to other work than `work`, another process is writing them, or the folder
        is not writable.
        """
        self._path = path
        self._rejects = rejects
        self._form = form
        self._work = work
        self._folder = partial_folder(path)
        self._state = self._folder / "state.json"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommentwiseError(f"cannot write beside {path} ({error.strerror}): name another output") from None
        self._lock()
        self.totals = Totals() if restart or not self._state.exists() else self._earlier()

    def _lock(self) -> None:
        """Lock the folder until this process ends, even if it is killed."""
        self._lock_file = os.open(self._folder, os.O_RDONLY)
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommentwiseError(
                f"another process is writing {self._path}: wait for it, or name another output"
            ) from None

    def _earlier(self) -> Totals:
        state = read_json(self._state)
        before = state["work"]
        names = [name for name in before | self._work if before.get(name) != self._work.get(name)]
        if names:
            changes = "; ".join(f"{name} was {before.get(name)} and is {self._work.get(name)}" for name in names)
            raise CommentwiseError(
                f"{self._folder} holds unfinished results of another command ({changes}): "
                "run that one again to continue it, or start again with --restart"
            )
        return Totals(**state["totals"])

    def add(self, chunk: ScoredChunk) -> None:
        """Write the next part."""
        self._part(self.totals.chunks, "rows").write_bytes(chunk.rows)
        self._part(self.totals.chunks, "rejects").write_bytes(chunk.rejects)
        self.totals.add(chunk)
        write_json(self._state, {"work": self._work, "totals": asdict(self.totals)})

    def finish(self) -> None:
        """Join the parts to the output and the reject file, and delete them."""
        if self.totals.rejected:
            with atomic_file(self._rejects) as temporary:
                join_bytes(self._parts("rejects"), temporary)
        else:
            self._rejects.unlink(missing_ok=True)  # of an earlier run
        with atomic_file(self._path) as temporary:
            self._form.join(self._parts("rows"), temporary)
        shutil.rmtree(self._folder)

    def _part(self, index: int, kind: str) -> Path:
        return self._folder / f"{index:06}.{kind}"

    def _parts(self, kind: str) -> list[Path]:
        return [self._part(index, kind) for index in range(self.totals.chunks)]


class StandardOutput:
    """Standard output: rows are written when their chunk is finished."""

    def __init__(self, rejects: Path) -> None:
        self.totals = Totals()
        self._rejects = rejects
        rejects.unlink(missing_ok=True)

    def add(self, chunk: ScoredChunk) -> None:
        """Write a chunk. Raises CommentwiseError if standard output was closed."""
        if chunk.rejects:
            with self._rejects.open("ab") as stream:
                stream.write(chunk.rejects)
        rest = memoryview(chunk.rows)
        try:
            while rest:
                rest = rest[os.write(1, rest) :]
        except BrokenPipeError:
            raise CommentwiseError("standard output was closed before all rows were written to it") from None
        self.totals.add(chunk)

    def finish(self) -> None:
        """Do nothing: everything is written."""
