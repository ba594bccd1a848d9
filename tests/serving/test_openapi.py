"""The OpenAPI document matches the server's behaviour for any request."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.serving.process import started

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
FORMATS = (
    "/",
    "/predict",
    "/analyze",
    "/explain",
    "/invocations",
    "/v2/models/{model}/infer",
    "/health",
    "/info",
    "/metrics",
)


@pytest.mark.slow
def test_schemathesis_finds_no_server_error_and_no_undocumented_answer(tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle)) as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json", "--checks", CHECKS]
        options = ["--max-examples", "50", "--seed", "1", "--no-color", "--generation-database", "none"]
        environment = os.environ | {"NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert not (worker_deaths := [line for line in server.log.read_text().splitlines() if "died" in line]), (
            worker_deaths
        )


def test_document_has_every_format_with_examples(tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle)) as server:
        paths = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()["paths"]
    assert [path for path in FORMATS if path not in paths] == []
    for path in ("/predict", "/analyze", "/explain", "/invocations"):
        assert paths[path]["post"]["requestBody"]["content"]["application/json"]["examples"]
