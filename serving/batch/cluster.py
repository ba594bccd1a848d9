"""Scoring of Parquet files on a Ray cluster, with one actor per device that scores block after block.

The output is a folder: `part-FFFFF-BBBBBB.parquet` for block B of input F, with the same columns and results as without
a cluster, `_rejects` for rows that cannot be scored, and `_finished` with the state of finished blocks. Ray's own
checkpoints identify rows by an id column, which comments need not have.
"""

import json
import logging
import math
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import track

from commentwise.comments.formats.parquet import batch_rows
from commentwise.comments.formats.rows import Row, renamed
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier, Manifest, bundle_id
from commentwise.serving.batch.blocks import BLOCK_ROWS, Block, block_batches, survey
from commentwise.serving.batch.chunks import Chunk, Scorer, answer_columns, replacing
from commentwise.serving.batch.locations import Store, opened, parquet_files
from commentwise.serving.batch.outputs import ScoredChunk, Totals
from commentwise.serving.batch.writers import ParquetFormat

FINISHED = "_finished"
REJECTS = "_rejects"
WORK = f"{FINISHED}/work.json"
COMPLETE = "_SUCCESS"
RAY_PORT = 6379
CONNECT_SECONDS = 10


class BlockScorer:
    """A Ray actor: it holds the bundle on one device and scores blocks."""

    def __init__(
        self,
        bundle: Any,
        device: str,
        cascade: bool,
        column: str,
        types: dict[str, Any],
        out: str,
        names: dict[str, str],
        scored_before: list[str],
    ) -> None:
        """`bundle` refers to the bundle's files in Ray's object store, since the machines need not share a disk."""
        import ray

        with TemporaryDirectory(prefix="commentwise-") as folder:  # not needed once the bundle is loaded
            for name, content in ray.get(bundle).items():
                Path(folder, name).write_bytes(content)
            classifier = Classifier(Path(folder), device, threads=1, cascade=cascade)
            form = ParquetFormat(out, list(types), types)
            self._score = Scorer(classifier, column, frozenset(types), form, scored_before)
        self._out = Store(out)
        self._names = names

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Score the blocks of a batch and write the results of each, its state last."""
        done = [self._one(Block(**json.loads(block))) for block in batch["block"]]
        return {"totals": [json.dumps(asdict(totals)) for totals in done]}

    def _one(self, block: Block) -> Totals:
        with opened(block.uri) as file:
            values = chain.from_iterable(map(batch_rows, block_batches(file, block)))
            rows = [
                Row(block.uri, number, row, renamed(row, self._names), reason)
                for number, (row, reason) in enumerate(values, start=block.before + 1)
            ]
        scored = self._score(Chunk(0, rows, 0))
        totals = Totals()
        totals.add(scored)
        self._out.write(f"{block.name}.parquet", scored.rows)
        if scored.rejects:
            self._out.write(f"{REJECTS}/{block.name}.jsonl", scored.rejects)
        self._out.write(f"{FINISHED}/{block.name}.json", json.dumps(asdict(totals)).encode())
        return totals


def score(
    inputs: Sequence[str],
    out: str,
    model: Path,
    column: str,
    device: str,
    cascade: bool,
    address: str | None,
    overwrite: bool,
    restart: bool,
    names: dict[str, str],
) -> tuple[Totals, int, float]:
    """Score the blocks that `out` does not have yet; return the totals, the rows of earlier runs, and the seconds.

    `names` gives columns other names. `overwrite` replaces complete output, `restart` also the output of an unfinished run. A progress bar on standard
    error, if it is a terminal, counts finished blocks. Raises CommentwiseError if inputs, output or cluster cannot be
    used; existing output is kept then.
    """
    started = time.monotonic()
    manifest = Manifest.from_json(model / "manifest.json")
    store = Store(out)
    uris = parquet_files(inputs)
    types, blocks, scored_before = survey(uris, column, manifest.labels, names)
    if scored_before:
        print(replacing(scored_before, answer_columns(manifest.labels)), file=sys.stderr)
    work = {f"input {number}": Store(uri).facts() for number, uri in enumerate(uris, start=1)} | {
        "--column": column,
        "the bundle": bundle_id(model),
        "the graph": manifest.graph_for(device, model, cascade),
        "rows per block": str(BLOCK_ROWS),
    }
    if names:
        work["--rename"] = " ".join("=".join(pair) for pair in names.items())
    resume = _can_resume(store, work, overwrite, restart)
    totals, done = _earlier(store) if resume else (Totals(), set())
    earlier = totals.rows
    remaining = [block for block in blocks if block.name not in done]
    with _cluster(address) if remaining else nullcontext():
        if not resume:
            store.clear()
            store.write(WORK, json.dumps(work).encode())
        files = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
        arguments = (device, cascade, column, types, store.place, names, scored_before)
        parts = _run(remaining, files, arguments) if remaining else iter(())
        console = Console(stderr=True)
        for part in track(parts, "", len(remaining), console=console, transient=True, disable=not sys.stderr.isatty()):
            _add(totals, part)
    store.write(COMPLETE, json.dumps(asdict(totals)).encode())
    return totals, earlier, time.monotonic() - started


def _can_resume(store: Store, work: dict[str, str], overwrite: bool, restart: bool) -> bool:
    """True if the folder holds unfinished results of this work. Raises CommentwiseError if it holds anything else."""
    before = store.read(WORK)
    if before is None:
        if store.is_empty():
            return False
        raise CommentwiseError(f"{store.uri} holds files that this command did not write: name another folder")
    if restart:
        return False
    if store.read(COMPLETE) is not None:
        if overwrite:
            return False
        raise CommentwiseError(f"{store.uri} is complete: name another folder, or replace it with --overwrite")
    try:
        known: dict[str, str] = json.loads(before)
    except ValueError:
        raise CommentwiseError(f"{store.uri}/{WORK} is damaged: start again with --restart") from None
    if changed := [name for name in work | known if known.get(name) != work.get(name)]:
        changes = "; ".join(f"{name} was {known.get(name)} and is {work.get(name)}" for name in changed)
        raise CommentwiseError(
            f"{store.uri} holds results of another command ({changes}): run that one again to continue it, or start again with --restart"
        )
    return True


def _earlier(store: Store) -> tuple[Totals, set[str]]:
    """The totals and the names of the blocks that earlier runs have finished."""
    totals, done = Totals(), set()
    for name in store.names(FINISHED):
        if name.startswith("part-") and (content := store.read(f"{FINISHED}/{name}")):
            _add(totals, Totals(**json.loads(content)))
            done.add(name.removesuffix(".json"))
    return totals, done


def _add(totals: Totals, part: Totals) -> None:
    totals.add(ScoredChunk(b"", b"", part.labels, part.reasons, 0))


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Connect to the cluster. Raises CommentwiseError if that fails, or if Ray fails inside the block."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise CommentwiseError("--engine ray needs Ray: pip install 'ray[data]', or leave --engine out") from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Failures are raised. Below that level, Ray's core logs complaints about how Ray Data starts actors.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    _connect(address or os.environ.get("RAY_ADDRESS") or "local")
    try:
        yield
    except ray.exceptions.RayError as error:
        raise CommentwiseError(_reason(error)) from None
    finally:
        ray.shutdown()


def _run(blocks: Sequence[Block], bundle: dict[str, bytes], arguments: tuple[Any, ...]) -> Iterator[Totals]:
    """Score the blocks on the cluster; yield the totals of each when it is finished."""
    import ray
    import ray.data

    resource = "GPU" if arguments[0] == "cuda" else "CPU"
    devices = math.floor(ray.cluster_resources().get(resource, 0))
    if not devices:
        raise CommentwiseError(f"the Ray cluster has no {resource}: name another --device")
    ray.data.DataContext.get_current().enable_progress_bars = False
    items = [{"block": json.dumps(asdict(block))} for block in blocks]
    tasks = ray.data.from_items(items, override_num_blocks=len(items))
    done = tasks.map_batches(
        BlockScorer,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(devices, len(blocks))),
        fn_constructor_args=(ray.put(bundle), *arguments),
        num_cpus=1 if resource == "CPU" else None,
        num_gpus=1 if resource == "GPU" else None,
    )
    for row in done.iter_rows():
        yield Totals(**json.loads(row["totals"]))


def _connect(address: str) -> None:
    import ray.exceptions

    try:
        if address not in ("local", "auto"):  # Ray itself would retry for a quarter of an hour
            place = urlsplit(address if "://" in address else f"//{address}")
            socket.create_connection((place.hostname, place.port or RAY_PORT), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise CommentwiseError(
            f"no Ray cluster at {address} ({error}): start it, or correct --ray-address or RAY_ADDRESS"
        ) from None
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, include_dashboard=False)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise CommentwiseError(
            f"the Ray cluster at {address} refuses ({_last_line(error)}): run this on one of its machines, with its versions of Ray and Python, and with its token if it has one"
        ) from None


def _reason(error: BaseException) -> str:
    """The message of a CommentwiseError raised by an actor, otherwise the last line of the error."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, CommentwiseError):
        return str(cause)
    return f"the Ray cluster failed: {_last_line(error)}"


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]
