"""Train again with the feedback, through the same pipeline, and let a gate decide.

  commentwise retrain --why "new communities"
  commentwise retrain --also labelled.jsonl --shadow

The comments of the current split keep their parts. New ones, from feedback and from files, are assigned to parts by the
hash of their text. The gate (commentwise.training.choice.gate) compares the result with the champion on the old and on
the recent test comments. If a retraining is killed, the same command continues it; only one can run at a time; each is
recorded. After a loss params.yaml, dvc.lock and the data are restored, and the same comments are not tried again with
the same settings.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import Field

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json, write_text
from commentwise.monitoring.actions.export_feedback import write_lines
from commentwise.monitoring.actions.process import run
from commentwise.monitoring.actions.recent_comments import as_source, current_split, part_of, recent_comments
from commentwise.monitoring.actions.working_tree import keep, put_back, set_source
from commentwise.monitoring.champion import find_champion
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.settings import LogSettings, read
from commentwise.monitoring.signals import reference
from commentwise.training.choice.gate import decide
from commentwise.training.data.sources import source_name
from commentwise.training.provenance import author
from commentwise.training.settings import load_settings


class RetrainCommand(LogSettings):
    """Train again with the feedback; the gate decides."""

    reference: Path = Field(
        default=MonitoredProject().reference, description="where to write the reference of a new champion"
    )
    also: list[Path] = Field(
        default=[], description="more labelled comments: files with columns text and label, e.g. .csv or .jsonl"
    )
    shadow: bool = Field(default=False, description="make a winner challenger, to run as a shadow, not champion")
    why: str = Field(default="requested", description="reason, for the record")


@dataclass(frozen=True)
class Retraining:
    """A retraining as it is recorded."""

    id: str
    """Hash of its comments and settings."""
    who: str
    when: str
    why: str
    shadow: bool
    data: str
    """The file of all its comments, relative to the project's root."""
    recent: int
    recent_test: int
    """Recent comments in the test part."""


class Files:
    """The files of the current retraining, of which there is one per project, and the record of all."""

    def __init__(self, project: MonitoredProject) -> None:
        self.lock = project.retraining / "lock"
        self.record = project.retraining / "retrainings.jsonl"
        self.current = project.retraining / "present"
        self.state = self.current / "state.json"
        self.kept = self.current / "kept"
        self.recent_test = self.current / "recent.txt"
        self.recent = self.current / "recent.jsonl"
        self.decision = self.current / "gate.json"


def main() -> None:
    """Retrain, or continue an interrupted retraining."""
    retrain(read(RetrainCommand, "retrain"), MonitoredProject())


def retrain(settings: RetrainCommand, project: MonitoredProject) -> None:
    """Retrain, or continue an interrupted retraining.

    Raises CommentwiseError when another one is running, there is too little to train on, or a stage fails.
    """
    files = Files(project)
    with alone(files.lock):
        retraining = begin(settings, project)
        decision = carry_out(retraining, project)
        finish(retraining, decision, project, settings.reference)
    print(f"retrain: {decision['reason']}")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process. Raises CommentwiseError when another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommentwiseError(f"another retraining holds {path}: wait until it has ended") from None
        yield


def begin(settings: RetrainCommand, project: MonitoredProject) -> Retraining:
    """Write down what this retraining trains on, or read what an interrupted one did.

    Raises CommentwiseError when there is too little to train on, or the same comments and settings lost before.
    """
    files = Files(project)
    if files.state.is_file():
        retraining = read_state(files)
        print(f"retrain: continuing {retraining.id}, begun {retraining.when} by {retraining.who}", flush=True)
        return retraining
    state_start(project)
    params = load_settings(project.params)
    recent = recent_comments(project, settings.prediction_log, settings.also, params.labels)
    content = as_source(current_split(project), source_name(params.data), recent)
    name = hashlib.sha256((content + project.params.read_text(encoding="utf-8")).encode("utf-8")).hexdigest()[:12]
    refuse_repeated_loss(files, name)
    data = project.retraining_data / f"{name}.jsonl"
    write_text(data, content)
    shutil.rmtree(files.current, ignore_errors=True)  # of one that was killed before it had begun
    keep(project, files.kept)
    test = [row["comment_id"] for row in recent if part_of(row["text"]) == "test"]
    write_text(files.recent_test, "\n".join(test) + "\n")
    write_lines(files.recent, recent)
    retraining = Retraining(
        id=name,
        who=author(project.root),
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        why=settings.why,
        shadow=settings.shadow,
        data=data.relative_to(project.root).as_posix(),
        recent=len(recent),
        recent_test=len(test),
    )
    write_json(files.state, asdict(retraining))  # last: from here on it is continued after an interruption
    print(f"retrain: {name}: {len(recent):,} recent comments, {len(test):,} of them in the test part", flush=True)
    return retraining


def state_start(project: MonitoredProject) -> None:
    """Say so if the retraining starts from other results than the champion's.

    Raises CommentwiseError if there is no champion for the gate to compare with.
    """
    champion = find_champion(project)
    if champion is None:
        raise CommentwiseError(f"no champion to compare with: publish {project.bundle} with `commentwise publish`")
    if champion.folder != project.bundle:
        print(
            f"retrain: starts from the settings and the split of the working tree, not from those of {champion}: "
            "to start from those, check out the commit that `commentwise lineage champion` names",
            flush=True,
        )


def read_state(files: Files) -> Retraining:
    """Read the state of the interrupted retraining. Raises CommentwiseError when it is damaged."""
    try:
        return Retraining(**read_json(files.state))
    except (ValueError, TypeError) as error:
        raise CommentwiseError(
            f"{files.state} is damaged ({error}): copy the files of {files.kept} back, delete {files.current} and run the same command again"
        ) from None


def refuse_repeated_loss(files: Files, name: str) -> None:
    """Raise CommentwiseError if the same comments lost with the same settings."""
    for past in map(json.loads, _record_lines(files)):
        if past["id"] == name and not past["gate"]["passed"]:
            raise CommentwiseError(
                f"the same comments were tried on {past['when']} and lost ({past['gate']['reason']}): collect more feedback, or change params.yaml"
            )


def carry_out(retraining: Retraining, project: MonitoredProject) -> dict[str, Any]:
    """Run the pipeline and the gate, without repeating finished steps; return the gate's `Decision` as a dict."""
    files = Files(project)
    if not files.decision.is_file():
        run("dvc", "add", retraining.data, root=project.root)
        set_source(project, retraining.data)
        run("dvc", "repro", root=project.root)
        recent = files.recent_test.read_text(encoding="utf-8").split()
        write_json(files.decision, asdict(decide(project, recent, shadow=retraining.shadow)))
    return dict(read_json(files.decision))


def finish(retraining: Retraining, decision: dict[str, Any], project: MonitoredProject, path: Path) -> None:
    """Write the reference of a new champion to `path`, restore the files after a loss, and record the outcome."""
    files = Files(project)
    if decision["alias"] == "champion":
        reference.create(project.bundle, project.prepared, path)
    if not decision["passed"]:
        print("retrain: restoring params.yaml, dvc.lock and the data", flush=True)
        put_back(project, files.kept, retraining.data)
    line = asdict(retraining) | {"ended": datetime.now(UTC).isoformat(timespec="seconds"), "gate": decision}
    others = [
        past
        for past in _record_lines(files)
        if (known := json.loads(past))["id"] != retraining.id or known["when"] != retraining.when
    ]
    write_text(files.record, "\n".join([*others, json.dumps(line, ensure_ascii=False)]) + "\n")
    files.state.unlink()  # first: without it the rest of the folder is ignored
    shutil.rmtree(files.current)


def _record_lines(files: Files) -> list[str]:
    return files.record.read_text(encoding="utf-8").splitlines() if files.record.is_file() else []


if __name__ == "__main__":
    run_command(main)
