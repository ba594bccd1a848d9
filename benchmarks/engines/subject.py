"""The subject of the benchmarks: the encoder that a pipeline trained, even where a linear model won."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.families import ENCODER
from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_folder, read_json, write_json
from commentwise.models.bundle import TOKENIZER
from commentwise.training import candidate as layout
from commentwise.training.choice.export import export
from commentwise.training.project import Project
from commentwise.training.provenance import folder_md5, git_facts
from commentwise.training.settings import load_settings

OUT = Path("build/bench")
BUNDLE, CHECKPOINT, COMMENTS = OUT / "bundle", OUT / "checkpoint", OUT / "comments.parquet"
SOURCES = OUT / "sources.json"


def make_subject(project: Project) -> None:
    """Write the encoder that the project trained as a bundle (BUNDLE) and in the form that transformers loads
    (CHECKPOINT), and the comments that it was trained on (COMMENTS).

    Does nothing if they were written from the same candidate and code. Raises CommentwiseError if the project's
    pipeline has not run.
    """
    candidate = project.candidate(ENCODER)
    if not project.evaluated(ENCODER).exists():
        raise CommentwiseError(
            f"{candidate} was not trained and evaluated: run `commentwise run` in {project.root.resolve()}"
        )
    sources = {"candidate": folder_md5(candidate), "git": git_facts(Path())}
    if SOURCES.exists() and read_json(SOURCES) == sources:
        return
    print(f"benchmark: exporting {candidate}", flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    SOURCES.unlink(missing_ok=True)
    shutil.copyfile(project.part("train"), COMMENTS)
    with atomic_folder(CHECKPOINT) as folder:
        shutil.copytree(candidate / layout.ENCODER, folder, dirs_exist_ok=True)
        shutil.copyfile(candidate / TOKENIZER, folder / TOKENIZER)
    with atomic_folder(BUNDLE) as folder, TemporaryDirectory(prefix="subject-") as scratch:
        winner = Path(scratch) / ENCODER  # as stage select would copy it
        shutil.copytree(candidate, winner)
        shutil.copyfile(project.evaluated(ENCODER), winner / "evaluation.json")
        export(project, load_settings(project.params), winner, folder)
    write_json(SOURCES, sources)
