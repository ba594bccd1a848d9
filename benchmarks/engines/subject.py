"""The subject of the benchmarks: the encoder that a pipeline trained, even where a linear model won."""

import os
import shutil
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_folder, read_json, write_json
from commentwise.models.bundle import TOKENIZER
from commentwise.training.candidate import ENCODER
from commentwise.training.choice import export
from commentwise.training.project import CANDIDATES, EVALUATION, PREPARED, RAW, WINNER, part_file
from commentwise.training.provenance import folder_md5, git_facts
from commentwise.training.settings import load_settings

FAMILY = "bert"
OUT = Path("build/bench")
BUNDLE, CHECKPOINT, COMMENTS = OUT / "bundle", OUT / "checkpoint", OUT / "comments.parquet"
SOURCES = OUT / "sources.json"


def make_subject(root: Path) -> None:
    """Write the encoder that the pipeline in `root` trained as a bundle (BUNDLE) and in the form that transformers loads
    (CHECKPOINT), and the comments that it was trained on (COMMENTS).

    Does nothing if they were written from the same candidate and code. Raises CommentwiseError if the pipeline has not
    run in `root`.
    """
    candidate = root / CANDIDATES / FAMILY
    if not (root / EVALUATION / FAMILY / "metrics.json").exists():
        raise CommentwiseError(f"{candidate} was not trained and evaluated: run `commentwise run` in {root.resolve()}")
    sources = {"candidate": folder_md5(candidate), "git": git_facts()}
    if SOURCES.exists() and read_json(SOURCES) == sources:
        return
    print(f"benchmark: exporting {candidate}", flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    SOURCES.unlink(missing_ok=True)
    shutil.copyfile(part_file("train", root / PREPARED), COMMENTS)
    with atomic_folder(CHECKPOINT) as folder:
        shutil.copytree(candidate / ENCODER, folder, dirs_exist_ok=True)
        shutil.copyfile(candidate / TOKENIZER, folder / TOKENIZER)
    with atomic_folder(BUNDLE) as folder, TemporaryDirectory(prefix="subject-") as scratch:
        _lay_out(root.resolve(), Path(scratch))
        bundle = folder.resolve()
        with chdir(scratch):
            export.export(load_settings(), bundle)
    write_json(SOURCES, sources)


def _lay_out(root: Path, folder: Path) -> None:
    """A pipeline's folder as `root` would be had the encoder won."""
    for path in (Path("params.yaml"), RAW, PREPARED, CANDIDATES, EVALUATION):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        os.symlink(root / path, folder / path)
    shutil.copytree(root / CANDIDATES / FAMILY, folder / WINNER)
    shutil.copyfile(root / EVALUATION / FAMILY / "metrics.json", folder / WINNER / "evaluation.json")
