"""The model of the sample: trained in a minute on comments that come with Commentwise, to suggest labels before there are any."""

import shutil
from pathlib import Path

from commentwise.comments.table import write_table
from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_folder, write_text
from commentwise.models.bundle import Classifier, verify_files
from commentwise.training.choice.evaluate import evaluate
from commentwise.training.choice.export import export
from commentwise.training.data.ingest import ingest
from commentwise.training.data.prepare import prepare
from commentwise.training.families import catalog
from commentwise.training.params import change_params
from commentwise.training.project import PARTS, Project
from commentwise.training.settings import load_settings
from commentwise.training.start import NONE
from commentwise.training.train import read_task
from commentwise.training.workspace import template

FAMILY = "svm"
"""The better of the families that train in seconds."""
COMMENTS = "data/sample.jsonl"


def sample_bundle(project: Project) -> Path:
    """The bundle of the sample; trained first, with the settings of a new project, unless this version has one.

    It lies in build/, apart from the project's own settings, data and models.
    """
    root = project.build / f"sample-{template.INSTALLED}"
    bundle = Project(root).bundle
    if not _is_intact(bundle):
        with atomic_folder(root) as folder:
            _train(Project(folder))
    return bundle


def _is_intact(bundle: Path) -> bool:
    try:
        verify_files(bundle)
    except CommentwiseError:
        return False
    return True


def _train(project: Project) -> None:
    """Run the stages of one family in `project`, which is empty."""
    source = template.FOLDER / "sample.jsonl"
    if not source.is_file():  # a package built without the folder data
        raise CommentwiseError(f"{source} is missing: name another model, or {NONE}, with --model")
    write_text(project.params, template.params())
    change_params(project.params, {"data.path": COMMENTS})
    (project.root / COMMENTS).parent.mkdir(parents=True)
    shutil.copyfile(source, project.root / COMMENTS)
    settings = load_settings(project.params)
    table = ingest(project, settings).table
    prepared, _, _ = prepare(table, settings)
    project.raw.parent.mkdir(parents=True)
    project.prepared.mkdir(parents=True)
    write_table(table, project.raw)
    for part in PARTS:
        write_table(prepared[prepared["part"] == part].drop(columns="part"), project.part(part))
    family = catalog.families()[FAMILY]
    family.train(read_task(project, settings), settings.of(family), project.candidate(FAMILY))
    evaluate(project, FAMILY, settings)
    shutil.copyfile(project.evaluated(FAMILY), project.candidate(FAMILY) / "evaluation.json")
    project.bundle.mkdir(parents=True)
    export(project, settings, project.candidate(FAMILY), project.bundle)
    Classifier(project.bundle)  # verifies the bundle, as the server does
