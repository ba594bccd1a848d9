"""Reading the files in deploy/ the way the programs they configure do."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from commentwise.serving.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
SETTINGS = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}

needs_kustomize = pytest.mark.skipif(
    shutil.which("kubectl") is None and "CI" not in os.environ,
    reason="kubectl is missing: https://kubernetes.io/docs/tasks/tools",
)
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and "CI" not in os.environ,
    reason="promtool is missing: apt-get install prometheus",
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 and "CI" not in os.environ, reason="creating namespaces requires root"
)


def read_yaml(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def compose() -> dict[str, Any]:
    [content] = read_yaml(DEPLOY / "compose.yaml")
    return content


def rendered(folder: str) -> list[dict[str, Any]]:
    """The documents that `kubectl apply --kustomize` would apply."""
    done = subprocess.run(
        ["kubectl", "kustomize", KUBERNETES / folder], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of_kind(documents: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    [found] = [document for document in documents if document["kind"] == kind]
    return found
