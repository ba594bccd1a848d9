"""Connecting to MLflow: each mistake in its address, password or experiment has a line of its own."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import OperationalError

from commentwise.errors import CommentwiseError
from commentwise.training.project import Project
from commentwise.training.registry import tracking
from tests.training.test_publish import client, store  # noqa: F401  # fixtures

PROJECT = Project()
Connect = Callable[[str], str]


@pytest.fixture
def message(work: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """A function that connects to an address and returns the message of the error."""
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME", raising=False)

    def connect(uri: str) -> str:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        with pytest.raises(CommentwiseError) as raised:
            tracking.connect(PROJECT)
        return str(raised.value)

    yield connect
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]


@pytest.fixture(params=[401, 403])
def refusing_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The address of a server that answers every request with this status."""

    class Refuse(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{server.server_port}", request.param
        server.shutdown()


def test_a_deleted_experiment_can_be_restored_or_removed(client: MlflowClient) -> None:  # noqa: F811
    experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(
        CommentwiseError, match=r"the experiment 'commentwise' .* was deleted: restore it with"
    ) as raised:
        tracking.connect(PROJECT)
    assert f"mlflow experiments restore --experiment-id {experiment.experiment_id}`" in str(raised.value)
    client.restore_experiment(experiment.experiment_id)
    tracking.connect(PROJECT)


@pytest.mark.parametrize("form", ["mlruns", "./mlruns", "{folder}/mlruns", "file://{folder}/mlruns"])
def test_the_file_store_is_named_as_such(message: Connect, work: Path, form: str) -> None:
    uri = form.format(folder=work)
    line = message(uri)
    assert line.startswith(f"MLFLOW_TRACKING_URI = {uri!r} is a folder, and MLflow no longer supports its file store")
    assert "mlflow migrate-filestore" in line


@pytest.mark.parametrize("uri", ["localhost:5000", "mlflow.example.com", "10.0.0.7:5000/mlflow"])
def test_a_server_without_a_scheme(message: Connect, uri: str) -> None:
    assert message(uri) == (
        f"MLFLOW_TRACKING_URI = {uri!r} has no scheme: for a server write http://{uri} or https://{uri}"
    )


def test_a_database_without_a_scheme(message: Connect) -> None:
    assert message("mlflow.db").endswith("has no scheme: for a database write sqlite:///mlflow.db")


def test_an_unknown_scheme(message: Connect) -> None:
    assert "has the unknown scheme 'htp'" in message("htp://localhost:5000")


def test_a_wrong_password_and_a_missing_one_and_permission(
    message: Connect, refusing_server: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, status = refusing_server
    if status == 401:
        assert message(uri) == (
            f"MLflow at {uri} refuses requests without a password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    line = message(uri)
    assert line.startswith(f"MLflow at {uri} refuses the user 'ada'")
    assert ("correct MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" if status == 401 else "permission") in line
    assert "secret" not in line


def test_a_wrong_password_of_a_database(message: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(uri: str) -> None:
        reason = Exception('connection failed: FATAL:  password authentication failed for user "ada"')
        raise OperationalError(None, None, reason)

    monkeypatch.setattr(tracking, "create_engine", refuse)
    line = message("postgresql://ada:secret@db/mlflow")
    assert line.startswith("MLflow at postgresql://db/mlflow refuses the user or password in MLFLOW_TRACKING_URI")
    assert "secret" not in line


def test_a_database_that_does_not_answer_is_tried_once(message: Connect) -> None:
    assert message("postgresql://ada:secret@127.0.0.1:1/mlflow").startswith("MLflow at postgresql://127.0.0.1:1/mlflow")
