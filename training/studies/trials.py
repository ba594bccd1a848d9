"""Fine-tuning beside the pipeline, to compare settings: a trial is trained once, and what it measured is kept."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import psutil
import yaml

from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file
from commentwise.training.candidate import ENCODER
from commentwise.training.project import PREPARED
from commentwise.training.provenance import folder_md5
from commentwise.training.settings import Settings, parse_settings

STORE = Path("build/trials")
CODE = ("training/bert.py", "training/finetune", "models/encoders")
"""What, besides settings and data, decides about the outcome of a trial."""


class TrialFailed(CommentwiseError):
    """Training ended with an error, which it has printed."""


def with_changes(params: dict[str, Any], bert: dict[str, Any]) -> dict[str, Any]:
    """The content of a params file with other values in its section families.bert."""
    families = params["families"]
    return {**params, "families": {**families, "bert": {**families["bert"], **bert}}}


def run_trial(params: dict[str, Any], parent_run: str) -> Path:
    """Fine-tune the encoder with `params`, the content of a params file, unless this was done before.

    Returns the candidate's folder. Its weights are not kept: commentwise.training.bert makes them again from the params file beside
    the folder. A trial that was interrupted goes on. Its MLflow run is nested in `parent_run`.
    Raises TrialFailed when training ends with an error.
    """
    folder = STORE / study_key(parse_settings(params))
    if not (folder / "metrics.json").is_file():
        given = folder.with_suffix(".yaml")
        with atomic_file(given) as temporary:
            temporary.write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True), encoding="utf-8")
        _train(given, folder, parent_run)
    shutil.rmtree(folder / ENCODER, ignore_errors=True)
    return folder


def study_key(settings: Settings, *more: object) -> str:
    """A digest of all that an encoder's results depend on, and of `more`."""
    options = settings.families.bert.model_dump(exclude={"checkpoint_steps"})
    checkpoint = Path(settings.families.bert.checkpoint)
    known = [
        options,
        folder_md5(checkpoint) if checkpoint.is_dir() else None,
        settings.seed,
        settings.labels,
        settings.max_tokens,
        folder_md5(PREPARED),
        *more,
    ]
    digest = hashlib.sha256(json.dumps(known, default=str).encode())
    for name in CODE:
        path = Path(name)
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _train(params: Path, out: Path, parent_run: str) -> None:
    launcher = ["accelerate.commands.launch", "--quiet", "--config_file", "accelerate_config.yaml"]
    stage = ["commentwise.training.bert", "--params", str(params), "--out", str(out), "--parent-run", parent_run]
    command = [sys.executable, "-m", *launcher, "-m", *stage]
    with _children_end_first():
        status = subprocess.Popen(command).wait()
    if status:
        raise TrialFailed(f"training with {params} failed: its message stands above")


@contextmanager
def _children_end_first() -> Iterator[None]:
    """When this process is asked to stop, leave only after those it started have saved their state."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        for child in psutil.Process().children(recursive=True):
            child.terminate()
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, terminate)
    children: list[psutil.Process] = []
    try:
        yield
    except BaseException:
        children = psutil.Process().children(recursive=True)
        raise
    finally:
        psutil.wait_procs(children)
        signal.signal(signal.SIGTERM, before)
