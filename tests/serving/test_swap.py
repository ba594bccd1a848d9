"""Replacing the live bundle without losing a request, and the shadow."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import mlflow
import onnx
import psutil
import pytest

from commentwise.models.bundle import bundle_id
from tests.serving.process import PATIENCE, Server, started
from tests.serving.test_faults import figure
from tests.tiny import GRAPH, tiny_graph, write_tiny_bundle
from tests.waiting import until


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A bundle that can be replaced. With a negative strength, no text is positive."""
    return write(tmp_path / "model", 6.0)


def write(folder: Path, strength: float) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_tiny_bundle(folder, strength)
    return folder


@pytest.fixture
def server(model: Path, tmp_path: Path) -> Iterator[Server]:
    with started(tmp_path, "--model", str(model)) as server:
        yield server


def sentiment(server: Server) -> str:
    answer = httpx.post(f"{server.url}/analyze", json={"text": "good"}, trust_env=False)
    return str(answer.json()["sentiment"])


def reload(server: Server) -> httpx.Response:
    return httpx.post(f"{server.url}/admin/reload", timeout=PATIENCE, trust_env=False)


def test_swap_under_load_loses_no_request(server: Server, model: Path) -> None:
    old = server.workers()
    statuses: list[int] = []
    sentiments: list[str] = []
    ended = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
            while not ended.is_set():
                answer = client.post("/analyze", json={"text": "good"})
                statuses.append(answer.status_code)
                sentiments.append(answer.json()["sentiment"])

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: len(statuses) > 50)
    write(model, -6.0)
    answer = reload(server)
    assert (answer.status_code, answer.json()) == (200, {"swapped": True, "bundle_id": bundle_id(model)})
    seen = len(statuses)
    until(lambda: len(statuses) > seen + 50)
    ended.set()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200}
    assert (sentiments[0], sentiments[-1]) == ("positive", "neutral")
    assert psutil.wait_procs(old, timeout=PATIENCE)[1] == []
    assert figure(server, f'commentwise_bundle_info{{bundle_id="{bundle_id(model)}"') == 1
    assert figure(server, "commentwise_bundle_info") == 1
    assert figure(server, "commentwise_lost_workers_total") == 0
    assert httpx.get(f"{server.url}/info", trust_env=False).json()["bundle_id"] == bundle_id(model)


def test_same_bundle_is_not_loaded_again(server: Server) -> None:
    before = server.workers()
    assert reload(server).json()["swapped"] is False
    assert server.workers() == before


def corrupt(model: Path) -> None:
    write(model, -6.0)
    (model / GRAPH).write_bytes(b"nonsense")


def wrong_golden(model: Path) -> None:
    """Its files match the manifest, but its golden texts get other probabilities."""
    write(model, -6.0)
    golden = (model / "golden.json").read_bytes()
    write(model, 6.0)
    (model / "golden.json").write_bytes(golden)
    from tests.tiny import write_tiny_manifest

    write_tiny_manifest(model)


@pytest.mark.parametrize("damage", [corrupt, wrong_golden, shutil.rmtree])
def test_invalid_bundle_is_refused_and_the_old_one_stays(server: Server, model: Path, damage: object) -> None:
    before = server.workers()
    assert callable(damage)
    damage(model)
    answer = reload(server)
    assert answer.status_code == 424
    assert answer.json()["error"].startswith("the running bundle stays: ")
    assert sentiment(server) == "positive"
    assert figure(server, 'commentwise_bundle_loads_total{outcome="failed"}') == 1
    until(lambda: server.workers() == before)
    write(model, -6.0)
    assert reload(server).json()["swapped"] is True
    assert sentiment(server) == "neutral"


def replace(model: Path, other: Path) -> None:
    """Replace a bundle by another, as a whole."""
    shutil.rmtree(model)
    other.rename(model)


def test_polling_finds_a_new_bundle(model: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(model), "--poll", "0.1") as server:
        other = write(tmp_path / "other", -6.0)
        (other / GRAPH).write_bytes(b"nonsense")
        replace(model, other)
        until(lambda: figure(server, 'commentwise_bundle_loads_total{outcome="failed"}') > 0)
        assert sentiment(server) == "positive"
        replace(model, write(tmp_path / "other", -6.0))
        until(lambda: sentiment(server) == "neutral")


def test_worker_restarted_after_its_folder_was_replaced_does_not_answer_with_the_new_bundle(
    server: Server, model: Path
) -> None:
    write(model, -6.0)
    first, *rest = server.workers()
    first.kill()
    until(lambda: "was replaced: reload it" in server.log.read_text())
    if rest:
        assert sentiment(server) == "positive"
    assert reload(server).json()["swapped"] is True
    assert sentiment(server) == "neutral"


def test_shadow_is_compared_and_never_answers(model: Path, tmp_path: Path) -> None:
    shadow = write(tmp_path / "shadow", -6.0)
    flags = ["--model", str(model), "--shadow", str(shadow), "--shadow-share", "1"]
    with started(tmp_path, *flags) as server:
        until(lambda: '"event": "shadow loaded"' in server.log.read_text())
        texts = {"texts": ["good", "bad", "a video"]}
        results = httpx.post(f"{server.url}/analyze", json=texts, trust_env=False).json()["results"]
        assert [result["sentiment"] for result in results] == ["positive", "negative", "neutral"]
        until(lambda: figure(server, "commentwise_shadow_comments_total") == 3)
        assert figure(server, 'commentwise_shadow_comments_total{agrees="true"}') == 1
        assert figure(server, "te_batch_next_size_count") == 3  # the shadow's batches are not counted


@pytest.mark.slow
def test_champion_of_a_registry(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    experiment = client.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))
    client.create_registered_model("commentwise")

    def publish() -> None:
        run = client.create_run(experiment)
        client.log_artifacts(run.info.run_id, str(model), "bundle")
        source = f"runs:/{run.info.run_id}/bundle"
        version = client.create_model_version("commentwise", source, run.info.run_id)
        client.set_registered_model_alias("commentwise", "champion", version.version)

    publish()
    (tmp_path / "server").mkdir()
    with (
        TemporaryDirectory() as temporary,  # not in pytest's folders, whose names are too long for sockets
        started(
            tmp_path / "server",
            *("--model", "models:/commentwise@champion"),
            MLFLOW_TRACKING_URI=uri,
            TMPDIR=temporary,
        ) as server,
    ):
        assert sentiment(server) == "positive"
        assert reload(server).json()["swapped"] is False
        write(model, -6.0)
        publish()
        assert reload(server).json()["swapped"] is True
        assert sentiment(server) == "neutral"
        until(lambda: len(list(Path(temporary).glob("commentwise-*/*/manifest.json"))) == 1)  # the old one is deleted
        client.delete_registered_model_alias("commentwise", "champion")
        refused = reload(server)
        assert (refused.status_code, "champion" in refused.json()["error"]) == (424, True)
        assert sentiment(server) == "neutral"
    with pytest.raises(AssertionError, match="error: models:/commentwise@champion in sqlite"):
        started(tmp_path / "server", "--model", "models:/commentwise@champion", MLFLOW_TRACKING_URI=uri).__enter__()


def test_graph_of_another_strength_is_another_bundle(tmp_path: Path) -> None:
    assert bundle_id(write(tmp_path / "one", 6.0)) != bundle_id(write(tmp_path / "two", -6.0))
    assert onnx.load(tmp_path / "one" / GRAPH) == tiny_graph(6.0)
