"""The formats of other servers, tested with their own clients."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton
from huggingface_hub import InferenceClient
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from pandas import DataFrame
from tritonclient.utils import InferenceServerException

from commentwise.models.bundle import Classifier, bundle_id
from tests.serving.process import Server, started
from tests.tiny import LABELS, MAX_TOKENS

TEXTS = ["a good video", "a bad video", "a video"]
EXPECTED = ["positive", "negative", "neutral"]


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(tmp_path_factory.mktemp("server"), "--model", str(tiny_bundle)) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def probabilities(tiny_bundle: Path) -> list[list[float]]:
    rows: list[list[float]] = Classifier(tiny_bundle).probabilities(TEXTS).tolist()
    return rows


def test_hugging_face_client_with_the_server_s_bare_address(server: Server, probabilities: list[list[float]]) -> None:
    client = InferenceClient(server.url, provider="hf-inference")
    found = client.text_classification(TEXTS[0])
    assert [element.label for element in found] == ["positive", "neutral", "negative"]
    assert [element.score for element in found] == sorted(probabilities[0], reverse=True)
    assert [element.label for element in client.text_classification(TEXTS[1], top_k=1)] == ["negative"]
    raw = client.text_classification(TEXTS[0], function_to_apply="none")
    assert raw[0].score > 1
    assert 0 < client.text_classification(TEXTS[0], function_to_apply="sigmoid")[0].score < 1
    assert client.health_check()
    assert client.get_endpoint_info()["model_type"]["classifier"]["id2label"] == {
        "0": "negative",
        "1": "neutral",
        "2": "positive",
    }


def test_hugging_face_client_shows_the_reason(server: Server) -> None:
    with pytest.raises(Exception, match="nothing is left of it"):
        InferenceClient(server.url).text_classification(" ")


def test_text_embeddings_inference(client: httpx.Client, probabilities: list[list[float]]) -> None:
    single = client.post("/predict", json={"inputs": TEXTS[0]}).json()
    assert [score["score"] for score in single] == sorted(probabilities[0], reverse=True)
    response = client.post("/predict", json={"inputs": [[text] for text in TEXTS]})
    assert [scores[0]["label"] for scores in response.json()] == EXPECTED
    assert response.headers["x-compute-tokens"] == str(5 + 5 + 4)
    times = {name: int(response.headers[f"x-{name}-time"]) for name in ("total", "tokenization", "queue", "inference")}
    assert times["total"] >= max(times.values())
    raw = client.post("/predict", json={"inputs": TEXTS[0], "raw_scores": True}).json()
    assert raw[0]["score"] > 1
    info = client.get("/info").json()
    assert (info["max_input_length"], info["max_client_batch_size"]) == (MAX_TOKENS, 256)


def test_long_text_is_truncated_on_the_requested_side_or_refused(client: httpx.Client) -> None:
    text = "bad " * 40 + "good " * 40
    for side, label in (("right", "negative"), ("Left", "positive")):
        body = {"inputs": text, "truncate": True, "truncation_direction": side}
        assert client.post("/predict", json=body).json()[0]["label"] == label
    refused = client.post("/predict", json={"inputs": text, "truncate": False})
    assert refused.status_code == 422
    assert refused.json()["error"].startswith(f"inputs has 82 tokens and the model takes {MAX_TOKENS}")


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_triton_client(server: Server, tiny_bundle: Path, probabilities: list[list[float]], binary: bool) -> None:
    client = triton.InferenceServerClient(server.url.removeprefix("http://"))
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("commentwise")
    version = bundle_id(tiny_bundle)[:12]
    metadata = client.get_model_metadata("commentwise", version)
    assert metadata["versions"] == [version]
    text = triton.InferInput("text", [3, 1], "BYTES")
    text.set_data_from_numpy(np.array([[text] for text in TEXTS], dtype=np.object_), binary_data=binary)
    names = ("label", "probabilities", "logits")
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    answer = client.infer("commentwise", [text], outputs=outputs, request_id="7")
    assert answer.get_response()["id"] == "7"
    assert list(answer.as_numpy("label")) == EXPECTED
    np.testing.assert_allclose(answer.as_numpy("probabilities"), probabilities, rtol=1e-6)
    assert answer.as_numpy("logits").shape == (3, len(LABELS))
    with pytest.raises(InferenceServerException, match="there is no model 'other'"):
        client.infer("other", [text])
    with pytest.raises(InferenceServerException, match="there is no model 'commentwise version 3'"):
        client.infer("commentwise", [text], model_version="3")


def test_open_inference_protocol_refuses_invalid_tensors(client: httpx.Client) -> None:
    def refusal(**changed: Any) -> str:
        tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["good"]} | changed
        response = client.post("/v2/models/commentwise/infer", json={"inputs": [tensor]})
        assert response.status_code == 422
        return str(response.json()["error"])

    assert "the model takes 'text' of 'BYTES'" in refusal(datatype="FP32")
    assert "there are 1 texts" in refusal(shape=[2])
    assert "there are 1 texts" in refusal(shape=[])
    assert "inputs[0].data" in refusal(data=[5])
    assert "cut short" in refused_binary(client, b"\x09\x00\x00\x00good")
    assert "binary data" in refused_binary(client, b"\x01")


def refused_binary(client: httpx.Client, binary: bytes) -> str:
    head = json.dumps({"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES"}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    response = client.post("/v2/models/commentwise/infer", content=head + binary, headers=headers)
    assert response.status_code == 422
    return str(response.json()["error"])


def test_mlflow_client(server: Server) -> None:
    client: Any = ScoringServerClient("127.0.0.1", server.port)
    client.wait_server_ready(timeout=10)
    found = client.invoke(DataFrame({"text": TEXTS})).get_predictions()
    assert list(found["label"]) == EXPECTED
    assert client.get_version()


MLFLOW_BODIES: dict[str, Any] = {
    "split": {
        "dataframe_split": {"columns": ["id", "text"], "data": [[index, text] for index, text in enumerate(TEXTS)]}
    },
    "records": {"dataframe_records": [{"text": text} for text in TEXTS]},
    "instances": {"instances": TEXTS},
    "rows": {"instances": [[text] for text in TEXTS]},
    "inputs by column": {"inputs": {"text": TEXTS}},
    "inputs with params": {"inputs": TEXTS, "params": {"truncate": False}},
}


@pytest.mark.parametrize("body", MLFLOW_BODIES.values(), ids=MLFLOW_BODIES.keys())
def test_mlflow_formats(client: httpx.Client, body: Any) -> None:
    answer = client.post("/invocations", json=body)
    assert [prediction["label"] for prediction in answer.json()["predictions"]] == EXPECTED


def test_mlflow_csv(client: httpx.Client) -> None:
    content = "id,text\n" + "".join(f'{index},"{text}"\n' for index, text in enumerate(TEXTS))
    answer = client.post("/invocations", content=content, headers={"Content-Type": "text/csv; charset=utf-8"})
    assert [prediction["label"] for prediction in answer.json()["predictions"]] == EXPECTED


def test_mlflow_csv_as_spreadsheets_write_it(client: httpx.Client) -> None:
    content = "\ufeffid;text\r\n" + "".join(f'{index};"{text}"\r\n' for index, text in enumerate(TEXTS))
    answer = client.post("/invocations", content=content.encode(), headers={"Content-Type": "text/csv"})
    assert [prediction["label"] for prediction in answer.json()["predictions"]] == EXPECTED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('text\ngood\n"bad\nawful\n', "row 2 of the body cannot be read: invalid CSV"),
        ("text\ngood, really\n", "row 1 of the body cannot be read: wrong number of cells: 2"),
        ("", "the body has no CSV header"),
    ],
)
def test_mlflow_csv_with_a_bad_row_is_refused(client: httpx.Client, content: str, message: str) -> None:
    answer = client.post("/invocations", content=content, headers={"Content-Type": "text/csv"})
    assert (answer.status_code, message in answer.json()["message"]) == (422, True)


MLFLOW_REFUSALS: dict[str, tuple[Any, str]] = {
    "two formats": ({"inputs": ["good"], "instances": ["bad"]}, "exactly one of"),
    "no format": ({"text": "good"}, "exactly one of"),
    "no text column": ({"dataframe_records": [{"body": "good"}]}, "dataframe_records[0] has no text"),
    "number": ({"inputs": ["good", 5]}, "inputs[1] has no text"),
    "params": ({"inputs": ["good"], "params": {"truncate": "no"}}, "the only one is truncate"),
    "columns": ({"dataframe_split": {"columns": "text"}}, "columns and data"),
    "empty": ({"inputs": []}, "at least one text"),
}


@pytest.mark.parametrize(("body", "message"), MLFLOW_REFUSALS.values(), ids=MLFLOW_REFUSALS.keys())
def test_mlflow_refusals(client: httpx.Client, body: Any, message: str) -> None:
    response = client.post("/invocations", json=body)
    assert 400 <= response.status_code < 500
    assert response.json()["error_code"] == "BAD_REQUEST"
    assert message in response.json()["message"]


def test_mlflow_refuses_other_content_types(client: httpx.Client) -> None:
    response = client.post("/invocations", content="good", headers={"Content-Type": "text/plain"})
    assert (response.status_code, "text/csv" in response.json()["message"]) == (415, True)


def test_curl(server: Server) -> None:
    command = ["curl", "--silent", "--fail", f"{server.url}/analyze", "--json", json.dumps({"text": TEXTS[0]})]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["sentiment"] == "positive"
