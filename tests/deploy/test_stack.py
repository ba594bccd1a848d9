"""The shared services as configured in compose.yaml: people publish, servers follow, Prometheus scrapes."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commentwise.models.bundle import bundle_id
from commentwise.training.project import Project
from tests.deploy.stack import Stack, clean_environment, needs_stack, running_stack
from tests.training.conftest import PARAMS
from tests.training.test_publish import make_bundle, write_trained
from tests.waiting import until

BUNDLE = Project().bundle
pytestmark = [needs_stack, pytest.mark.slow]
PUBLISH = (sys.executable, "-m", "commentwise.training.registry.publish")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as started:
        yield started


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a trained and exported model."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(PARAMS, "params.yaml")
    write_trained()
    return tmp_path


def versions(stack: Stack) -> list[str]:
    """The ids of the registered bundles, in the order of their versions."""
    code = """
import json, mlflow
found = mlflow.MlflowClient().search_model_versions("name = 'commentwise'")
print(json.dumps([v.tags["commentwise.bundle"] for v in sorted(found, key=lambda v: int(v.version))]))
"""
    return list(json.loads(stack.run(sys.executable, "-c", code, variables=stack.mlflow_account).splitlines()[-1]))


def test_mlflow_requires_an_account(stack: Stack, person: Path) -> None:
    assert stack.get("http://mlflow:5000/api/2.0/mlflow/experiments/search?max_results=1")[0] == 401
    for wrong in (
        {"MLFLOW_TRACKING_URI": "http://mlflow:5000"},
        {**stack.mlflow_account, "MLFLOW_TRACKING_PASSWORD": "x"},
    ):
        said = stack.run(*PUBLISH, fails=True, cwd=person, variables=wrong)
        assert said.count("\n") == 1
        assert "MLFLOW_TRACKING_USERNAME" in said


def test_accounts_access_only_their_own_databases(stack: Stack) -> None:
    command = ("psql", "--host=postgres", "--username=commentwise", "--no-psqlrc", "--command=select 1")
    own = {"PGPASSWORD": stack.values["PREDICTIONS_DB_PASSWORD"]}
    assert "1 row" in stack.run(*command, "predictions", variables=own)
    assert "permission denied for database" in stack.run(*command, "mlflow", fails=True, variables=own)
    assert "password authentication failed" in stack.run(
        *command, "predictions", fails=True, variables={"PGPASSWORD": "wrong"}
    )


def test_a_published_model_reaches_the_server_and_prometheus_scrapes_it(stack: Stack, person: Path) -> None:
    said = stack.run(*PUBLISH, cwd=person, variables=stack.mlflow_account)
    assert said == "publish: version 1 of 'commentwise' is champion: it is the first\n"
    listing = (
        "import boto3; print([o['Key'] for o in boto3.client('s3').list_objects_v2(Bucket='commentwise')['Contents']])"
    )
    keys = stack.run(sys.executable, "-c", listing, variables=stack.s3_account)
    assert "mlflow/" in keys
    assert "bundle/manifest.json" in keys
    count = (
        "psql",
        "--host=postgres",
        "--username=mlflow",
        "--tuples-only",
        "--command=select count(*) from model_versions",
    )
    assert stack.run(*count, "mlflow", variables={"PGPASSWORD": stack.values["MLFLOW_DB_PASSWORD"]}).split() == ["1"]

    (stack.folder / "server").mkdir()
    stack.start("server", sys.executable, "-m", "commentwise.serving", "--host", "0.0.0.0")
    stack.until_healthy("server", "http://server:8000/health")
    assert stack.get("http://server:8000/metrics")[0] == 401
    key = ("--header", f"Authorization: Bearer {stack.values['METRICS_KEY']}")
    status, body = stack.get("http://server:8000/info", *key)
    assert (status, bundle_id(BUNDLE)[:12] in body) == (200, True)
    stack.start_prometheus()

    def scraped() -> bool:
        _, found = stack.get("http://prometheus:9090/api/v1/query?query=commentwise_workers")
        return bool(json.loads(found)["data"]["result"])

    until(scraped)
    stack.stop("prometheus")
    stack.stop("server")


def test_concurrent_publishing_creates_two_versions_and_one_champion(
    stack: Stack, person: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = versions(stack)
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(person, other, dirs_exist_ok=True)
    make_bundle(11)
    admin = ("--user", f"admin:{stack.values['MLFLOW_ADMIN_PASSWORD']}")
    account = {"username": "colleague", "password": "a-colleagues-password"}
    made = stack.get("http://mlflow:5000/api/2.0/mlflow/users/create", *admin, "--json", json.dumps(account))
    assert made[0] == 200, made
    colleague = {"MLFLOW_TRACKING_USERNAME": account["username"], "MLFLOW_TRACKING_PASSWORD": account["password"]}
    monkeypatch.chdir(other)
    make_bundle(12)
    running = []
    for folder, who in ((person, {}), (other, colleague)):
        monkeypatch.chdir(folder)
        running.append(
            subprocess.Popen(
                stack.inside(*PUBLISH),
                env=clean_environment() | stack.mlflow_account | who,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    said = [process.communicate(timeout=300)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert sorted(versions(stack)[len(before) :]) == sorted(bundle_id(folder / BUNDLE) for folder in (person, other))
    again = stack.run(*PUBLISH, cwd=person, variables=stack.mlflow_account)
    assert len(versions(stack)) == len(before) + 2, again


def test_publishing_without_the_database_fails_with_one_line_and_can_be_repeated(stack: Stack, person: Path) -> None:
    make_bundle(21)
    before = versions(stack)
    stack.stop("postgres", signal.SIGQUIT)  # like a crash: without waiting for open connections
    said = stack.run(*PUBLISH, fails=True, cwd=person, variables=stack.mlflow_account)
    assert said.startswith("error: MLflow at http://mlflow:5000 does not answer")
    stack.start_postgres()
    stack.run(*PUBLISH, cwd=person, variables=stack.mlflow_account)
    assert versions(stack) == [*before, bundle_id(BUNDLE)]


def test_publishing_without_the_store_leaves_no_partial_version(stack: Stack, person: Path) -> None:
    make_bundle(31)
    before = versions(stack)
    stack.stop("mlflow")
    stack.start_mlflow(AWS_SECRET_ACCESS_KEY="wrong")
    said = stack.run(*PUBLISH, fails=True, cwd=person, variables=stack.mlflow_account)
    assert versions(stack) == before, said
    stack.stop("mlflow")
    stack.start_mlflow()
    stack.run(*PUBLISH, cwd=person, variables=stack.mlflow_account)
    assert versions(stack) == [*before, bundle_id(BUNDLE)]


def test_another_machine_resumes_from_a_checkpoint_in_s3(stack: Stack, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import sys
from pathlib import Path

from commentwise.training.finetune.checkpoints import Checkpoints


place = Checkpoints(Path(sys.argv[1]) / "bert.pt", "a run's identity", "s3://commentwise/checkpoints")
print(place.load().get("step") if sys.argv[2] == "load" else place.save({"step": 7}))
""",
        encoding="utf-8",
    )

    def checkpoint(machine: str, action: str, fails: bool = False, **changed: str) -> str:
        folder = tmp_path / machine
        folder.mkdir(exist_ok=True)
        command = (sys.executable, str(script), str(folder), action)
        return stack.run(*command, fails=fails, variables=stack.s3_account | changed)

    assert checkpoint("first", "load").strip() == "None"
    assert "warning: no copy at s3://" in checkpoint("first", "save", AWS_SECRET_ACCESS_KEY="wrong")
    assert checkpoint("second", "load").strip() == "None"
    checkpoint("first", "save")
    assert checkpoint("second", "load").strip() == "7"
    said = checkpoint("third", "load", fails=True, AWS_SECRET_ACCESS_KEY="wrong")
    assert "cannot look for a checkpoint at s3://" in said


def test_two_people_share_data_in_s3_and_failures_lose_nothing(stack: Stack, tmp_path: Path) -> None:
    dvc = (sys.executable, "-m", "dvc")
    ann, bob = tmp_path / "ann", tmp_path / "bob"
    identity = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}

    def run(folder: Path, *command: str, fails: bool = False, **changed: str) -> str:
        return stack.run(*command, fails=fails, cwd=folder, variables=stack.s3_account | identity | changed)

    def add(folder: Path, name: str, content: str) -> None:
        (folder / name).write_text(content, encoding="utf-8")
        run(folder, *dvc, "add", "--quiet", name)
        run(folder, "git", "add", "--all")
        run(folder, "git", "commit", "--quiet", "--message", name)

    ann.mkdir()
    run(ann, "git", "init", "--quiet", "--initial-branch=main")
    run(ann, *dvc, "init", "--quiet")
    run(ann, *dvc, "remote", "add", "--default", "--quiet", "store", "s3://commentwise/dvc")
    add(ann, "comments.csv", "first\n")
    assert "1 file pushed" in run(ann, *dvc, "push")
    run(tmp_path, "git", "clone", "--quiet", str(ann), str(bob))
    run(bob, *dvc, "pull")
    assert (bob / "comments.csv").read_text(encoding="utf-8") == "first\n"

    # Both push at the same time: one identical file, and one of their own.
    for folder in (ann, bob):
        add(folder, "both.csv", "the same\n")
        add(folder, f"{folder.name}.csv", folder.name)
    environment = clean_environment() | stack.s3_account
    pushing = [
        subprocess.Popen(stack.inside(*dvc, "push", cwd=folder), env=environment, stdout=subprocess.PIPE, text=True)
        for folder in (ann, bob)
    ]
    said = [process.communicate(timeout=300)[0] for process in pushing]
    assert [process.returncode for process in pushing] == [0, 0], said
    for folder, other in ((ann, bob), (bob, ann)):
        shutil.copyfile(other / f"{other.name}.csv.dvc", folder / f"{other.name}.csv.dvc")
        run(folder, *dvc, "pull")
        assert (folder / f"{other.name}.csv").read_text(encoding="utf-8") == other.name

    add(ann, "late.csv", "late\n")
    run(ann, *dvc, "push", fails=True, AWS_SECRET_ACCESS_KEY="wrong")
    run(ann, *dvc, "push", fails=True, AWS_ENDPOINT_URL="http://s3:1")  # nothing listens there
    assert "1 file pushed" in run(ann, *dvc, "push")
