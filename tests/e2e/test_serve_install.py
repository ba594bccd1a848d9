"""An environment with only the extra `serve`: it has no training library, and serves a bundle."""

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-serve" / "bin" / "python"
TRAINING_ONLY = ("torch", "transformers", "mlflow", "pandas", "sklearn", "dvc", "datasets", "onnx")


@pytest.fixture(scope="module")
def serve_python() -> Path:
    """The Python of the environment that `make test` creates for serving."""
    assert PYTHON.exists(), "run the tests with `make test`, which creates .venv-serve"
    return PYTHON


def run(python: Path, folder: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(
        [python, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_training_library_is_installed(serve_python: Path, tmp_path: Path) -> None:
    code = (
        f"import importlib.util, json; print(json.dumps([n for n in {TRAINING_ONLY} if importlib.util.find_spec(n)]))"
    )
    assert json.loads(run(serve_python, tmp_path, "-c", code)) == []


def test_it_serves_a_bundle_over_http(serve_python: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    # Run outside of the repository, so that the installed code runs.
    printed = run(
        serve_python,
        tmp_path,
        "-m",
        "commentwise.serving.demo",
        "--model",
        str(tiny_bundle),
        "a good video",
        "a bad video",
    )
    assert [line.split()[0] for line in printed.splitlines()] == ["positive", "negative"]
