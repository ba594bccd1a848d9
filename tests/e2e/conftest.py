import shutil
from pathlib import Path

import pytest

from commentwise.fileio import write_text
from commentwise.training.project import BUNDLE, CANDIDATES, PREPARED_REJECTS, RAW_REJECTS
from tests.project import Project


@pytest.fixture(scope="session")
def prepared_project(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Project:
    """A project after its first stages, with a tiny bundle: make a copy.

    The reject files and the candidate are marked as older, so that writing them anew would show.
    """
    project = Project.create(tmp_path_factory.mktemp("prepared"))
    project.module("commentwise.training.data.ingest")
    project.module("commentwise.training.data.prepare")
    shutil.copytree(tiny_bundle, project.folder / BUNDLE)
    for older in (RAW_REJECTS, PREPARED_REJECTS, CANDIDATES / "logreg" / "metrics.json"):
        write_text(project.folder / older, "older")
    return project


@pytest.fixture
def project(prepared_project: Project, tmp_path: Path) -> Project:
    """A copy of the prepared project that the test may damage."""
    shutil.copytree(prepared_project.folder, tmp_path / "project", ignore=shutil.ignore_patterns(".git"))
    return Project(tmp_path / "project")
