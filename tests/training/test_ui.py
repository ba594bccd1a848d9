"""`commentwise ui`: MLflow's real server, on the runs of the project."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from commentwise.serving.demo import free_port
from tests.package.extras import ROOT
from tests.waiting import PATIENCE, until


@pytest.mark.slow
def test_the_address_opens_on_the_runs(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "commentwise", "ui", "--port", str(free_port())],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    address = urlsplit(process.stdout.readline().removeprefix("ui: ").strip())
    try:
        with httpx.Client(base_url=f"http://{address.netloc}", trust_env=False) as client:

            def answers() -> bool:
                assert process.poll() is None
                try:
                    return client.get("/").is_success
                except httpx.HTTPError:
                    return False

            until(answers, patience=3 * PATIENCE)
            identifier = address.fragment.split("/")[2]
            found = client.get("/ajax-api/2.0/mlflow/experiments/get", params={"experiment_id": identifier}).json()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.communicate()
    assert found["experiment"]["name"] == "commentwise"
    assert address.fragment == f"/experiments/{identifier}/runs"
