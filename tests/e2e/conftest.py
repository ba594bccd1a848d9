import shutil
from pathlib import Path

import pytest

from commentwise.fileio import write_text
from tests.project import Project


@pytest.fixture(scope="session")
def prepared_project(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Project:
    """A project after ingest and prepare, with a tiny bundle, shared by all tests: copy it.

    The reject files and the candidate's metrics have the content "older", so that rewriting them is noticed.
    """
    project = Project.create(tmp_path_factory.mktemp("prepared"))
    project.module("commentwise.training.data.ingest")
    project.module("commentwise.training.data.prepare")
    shutil.copytree(tiny_bundle, project.layout.bundle)
    layout = project.layout
    for older in (layout.raw_rejects, layout.prepared_rejects, layout.candidate("logreg") / "metrics.json"):
        write_text(older, "older")
    return project


@pytest.fixture
def project(prepared_project: Project, tmp_path: Path) -> Project:
    """A copy of the prepared project that the test may change."""
    ignored = shutil.ignore_patterns(".git")
    shutil.copytree(prepared_project.folder, tmp_path / "project", symlinks=True, ignore=ignored)
    return Project(tmp_path / "project")
