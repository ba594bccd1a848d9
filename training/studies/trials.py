"""Trials: fine-tuning runs outside of the pipeline, to compare settings. Each trial is trained once."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from commentwise.errors import CommentwiseError
from commentwise.training.candidate import ENCODER
from commentwise.training.families.bert import BERT
from commentwise.training.launch import launch
from commentwise.training.params import write_params
from commentwise.training.project import Project
from commentwise.training.provenance import folder_md5
from commentwise.training.settings import Settings, parse_settings

PACKAGE = Path(__file__).parents[2]
CODE = ("training/bert.py", "training/finetune", "models/encoders")
"""Code that the result of a trial depends on, besides settings and data."""


class TrialFailed(CommentwiseError):
    """Training failed; its output has the error."""


def with_changes(params: dict[str, Any], bert: dict[str, Any]) -> dict[str, Any]:
    """`params`, the content of a params file, with the settings `bert` changed in its section families.bert."""
    families = params["families"]
    return {**params, "families": {**families, "bert": {**families["bert"], **bert}}}


def run_trial(project: Project, params: dict[str, Any], parent_run: str) -> Path:
    """Fine-tune the encoder with `params`, the content of a params file, unless this trial is already finished.

    Returns the candidate's folder. Its weights are deleted: commentwise.training.bert reproduces them from the params
    file beside the folder. An interrupted trial resumes. Its MLflow run is nested in `parent_run`. Raises TrialFailed
    when training fails.
    """
    folder = project.build / "trials" / study_key(project, parse_settings(params, project.params))
    if not (folder / "metrics.json").is_file():
        params_file = folder.with_suffix(".yaml")
        write_params(params, params_file)
        _train(project, params_file, folder, parent_run)
    shutil.rmtree(folder / ENCODER, ignore_errors=True)
    return folder


def study_key(project: Project, settings: Settings, *more: object) -> str:
    """A digest of everything that an encoder's results depend on, and of `more`."""
    options = settings.of(BERT).model_dump(exclude={"checkpoint_steps"})
    checkpoint = project.root / settings.checkpoint
    inputs = [
        options,
        folder_md5(checkpoint) if checkpoint.is_dir() else None,
        settings.seed,
        settings.labels,
        settings.max_tokens,
        folder_md5(project.prepared),
        *more,
    ]
    digest = hashlib.sha256(json.dumps(inputs, default=str).encode())
    for name in CODE:
        path = PACKAGE / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _train(project: Project, params: Path, out: Path, parent_run: str) -> None:
    files = ["--params", str(params.resolve()), "--out", str(out.resolve())]
    if launch(project.root, "commentwise.training.bert", *files, "--parent-run", parent_run):
        raise TrialFailed(f"training with {params} failed: see the message above")
