"""The main job in a repository of its own, command by command. The tests run in order and build on each other."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commentwise.models.bundle import Classifier
from tests.project import Project

STAGES = [
    "ingest",
    "prepare",
    "baselines",
    *(f"{stage}@{family}" for stage in ("train", "evaluate") for family in ("logreg", "svm", "bert")),
    "select",
    "export",
    "report",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.create(tmp_path_factory.mktemp("pipeline"))


def read(project: Project, name: str) -> dict[str, object]:
    return dict(json.loads((project.folder / name).read_text(encoding="utf-8")))


def test_repro_runs_every_stage_once_and_makes_a_bundle_that_answers(project: Project) -> None:
    assert sorted(project.repro()) == sorted(STAGES)
    selection = read(project, "artifacts/selection.json")
    bundle = Classifier(project.folder / "artifacts/bundle")
    assert bundle.manifest.family == selection["winner"]
    assert bundle.predict(["thank you, this is great"])[0].label in bundle.manifest.labels
    assert project.repro() == []
    project.commit("first run")


def test_the_report_names_all_families_and_the_reason(project: Project) -> None:
    printed = " ".join(project.module("commentwise.training.choice.comparison", COLUMNS="200").split())
    selection = read(project, "artifacts/selection.json")
    assert all(family in printed for family in ("logreg", "svm", "bert"))
    assert str(selection["reason"]) in printed
    assert "the page about this run: artifacts/report.html" in printed
    assert str(selection["reason"]) in (project.folder / "artifacts/report.html").read_text(encoding="utf-8")


def test_publishing_twice_makes_one_version_and_one_run_per_candidate(project: Project) -> None:
    first = project.module("commentwise.training.registry.publish")
    again = project.module("commentwise.training.registry.publish")
    assert "version 1 of 'commentwise' is champion: it is the first" in first
    assert "version 1 of 'commentwise' is champion: it already was" in again
    count = "import mlflow; mlflow.set_tracking_uri('sqlite:///mlflow.db'); print(len(mlflow.search_runs(search_all_experiments=True)))"
    # One run per candidate (bert's was live) and one for the bundle.
    assert project.run("python", "-c", count).splitlines()[-1] == "4"


def test_lineage_leads_back_to_code_and_data(project: Project) -> None:
    lineage = json.loads(project.module("commentwise.training.registry.lineage", "champion", "--json"))
    lock = (project.folder / "dvc.lock").read_text(encoding="utf-8")
    assert lineage["version"] == 1
    assert lineage["aliases"] == ["champion"]
    assert lineage["data"]["prepared_md5"] in lock
    assert lineage["data"]["raw_md5"] in lock
    source = (project.folder / "data/few.jsonl").read_bytes()
    assert lineage["data"]["source_md5"] == hashlib.md5(source).hexdigest()
    assert lineage["params"]["data"]["path"] == "data/few.jsonl"
    assert lineage["git"]["dirty"] == []
    assert lineage["git"]["commit"] in project.run("git", "log", "--format=%H")
    assert "has no version '7'" in project.module("commentwise.training.registry.lineage", "7", fails=True)


def test_an_overwritten_prepared_file_is_noticed_and_restored(project: Project) -> None:
    prepared = project.folder / "data/prepared/test.parquet"
    before = prepared.read_bytes()
    prepared.write_bytes(b"overwritten")
    assert "data/prepared" in project.run("dvc", "status")
    project.run("dvc", "checkout", "--force", "data/prepared")
    assert prepared.read_bytes() == before


def test_a_change_of_one_family_reruns_only_what_depends_on_it(project: Project) -> None:
    project.set_params({"families.logreg.C": [2]})
    ran = project.repro()
    assert {"train@logreg", "evaluate@logreg", "select"} <= set(ran)
    assert set(ran) <= {"train@logreg", "evaluate@logreg", "select", "export", "report"}
    project.run("git", "checkout", "--quiet", "params.yaml", "dvc.lock")
    assert project.repro() == []


def test_a_family_that_is_left_out_takes_no_part(project: Project) -> None:
    project.set_params({"candidates": ["svm", "bert"]})
    assert set(project.repro()) == {"select", "export", "report"}
    ranking = read(project, "artifacts/selection.json")["ranking"]
    assert isinstance(ranking, list)
    assert {entry["family"] for entry in ranking} == {"svm", "bert"}
    assert not project.layout.candidate("logreg").exists()  # a clone does not have it
    assert project.repro() == []
    project.run("git", "reset", "--hard", "--quiet")
    project.run("dvc", "checkout")
    assert project.repro() == []


@pytest.mark.slow
def test_a_clone_pulls_everything_and_reruns_nothing(project: Project, tmp_path: Path) -> None:
    project.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    project.commit("remote")
    project.run("dvc", "push", "--quiet")
    subprocess.run(["git", "clone", "--quiet", project.folder, tmp_path / "clone"], check=True)
    clone = Project(tmp_path / "clone")
    clone.run("dvc", "pull", "--quiet")
    assert clone.repro() == []
    # MLflow never saw these candidates here: publishing writes what is missing.
    assert "is champion: it is the first" in clone.module("commentwise.training.registry.publish")


@pytest.mark.slow
def test_a_version_is_reproduced_from_its_commit(project: Project) -> None:
    printed = project.module("commentwise.training.registry.reproduce", "champion")
    assert "version 1 is reproduced" in printed
    assert "DIFFERENT" not in printed


@pytest.mark.slow
def test_reproduction_notices_another_result(project: Project) -> None:
    """The recorded graph of a linear model is replaced: it must not pass for the one that training makes."""
    lineage = json.loads(project.module("commentwise.training.registry.lineage", "1", "--json"))
    (facts,) = project.folder.glob(f"mlartifacts/{lineage['run']}/artifacts/candidates.json")
    recorded = json.loads(facts.read_text(encoding="utf-8"))
    recorded["svm"]["graph_sha256"] = "0" * 64
    facts.write_text(json.dumps(recorded), encoding="utf-8")
    printed = project.module("commentwise.training.registry.reproduce", "1", fails=True)
    assert "error: version 1 is not reproduced: svm" in printed


@pytest.mark.slow
def test_a_family_is_added_in_the_three_documented_steps(project: Project) -> None:
    shutil.copyfile(Path(__file__).with_name("majority.py"), project.folder / "training/families/majority.py")
    families = ["logreg", "svm", "bert", "majority"]
    project.set_params({"families.majority": {"smoothing": 1.0}, "candidates": families})
    assert {"train@majority", "evaluate@majority", "select"} <= set(project.repro())
    assert project.repro() == []
    ranking = read(project, "artifacts/selection.json")["ranking"]
    assert isinstance(ranking, list)
    assert {entry["family"] for entry in ranking} == set(families)
    assert "majority" in project.module("commentwise.training.choice.comparison", COLUMNS="200")
    # It would be exported and served like any other.
    folder = project.folder / "majority-bundle"
    project.run(sys.executable, "-c", EXPORT_MAJORITY)
    assert Classifier(folder).manifest.family == "majority"
    project.set_params({"families.majority": {"smoothing": 0}})
    refused = project.module("commentwise.training.train", "majority", fails=True)
    assert "families.majority.smoothing = 0: input should be greater than 0" in refused


EXPORT_MAJORITY = """
import shutil
from pathlib import Path
from commentwise.training.choice.export import export
from commentwise.training.project import Project
from commentwise.training.settings import load_settings

project = Project()
candidate, folder = project.build / "majority", Path("majority-bundle")
shutil.copytree(project.candidate("majority"), candidate)
shutil.copyfile(project.evaluated("majority"), candidate / "evaluation.json")
folder.mkdir()
export(project, load_settings(project.params), candidate, folder)
"""
