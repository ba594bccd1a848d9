"""Monitoring after a challenger has lost: the working tree holds the challenger, and production the champion."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import bundle_id
from commentwise.monitoring.actions import watch
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.signals import reference
from commentwise.training.provenance import folder_md5
from tests.monitoring.production import Production
from tests.registry import register
from tests.tiny import NEGATIVE, NEUTRAL, POSITIVE, write_tiny_bundle, write_tiny_manifest
from tests.training.conftest import make_part

WORDS = {"negative": NEGATIVE, "neutral": NEUTRAL[:5], "positive": POSITIVE}
PROJECT = MonitoredProject()
PARAMS = Path("params.yaml").resolve()


def write_trained(rows: int, strength: float) -> None:
    """A split, and a bundle that was trained on it, in the current folder."""
    for folder in (PROJECT.prepared, PROJECT.bundle):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for part in ("train", "validation", "test"):
        make_part(rows, WORDS).to_parquet(PROJECT.part(part), index=False)
    write_tiny_bundle(PROJECT.bundle, strength)
    write_tiny_manifest(PROJECT.bundle, data={"prepared_md5": folder_md5(PROJECT.prepared)})


@pytest.fixture
def champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the champion; the current folder holds a challenger that was trained on another split."""
    root = tmp_path / "project"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copyfile(PARAMS, "params.yaml")
    write_trained(120, 6.0)
    for command in (["init", "--quiet", "--no-scm"], ["add", "--quiet", str(PROJECT.prepared)]):
        subprocess.run([sys.executable, "-m", "dvc", *command], check=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", register(tmp_path, PROJECT.bundle))
    shutil.copytree(PROJECT.bundle, tmp_path / "champion")
    write_trained(150, 5.0)
    return tmp_path / "champion"


def run(monkeypatch: pytest.MonkeyPatch, command: str, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [command, *arguments])
    {"reference": reference, "watch": watch}[command].main()


def test_the_reference_is_the_champions_with_the_split_that_it_was_trained_on(
    champion: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, "reference")
    fetched, split, _ = capsys.readouterr().out.splitlines()
    assert fetched == (
        "reference: champion version 1 of 'commentwise' is fetched from the registry: artifacts/bundle is another bundle"
    )
    assert split == "reference: its split is taken from DVC's cache: data/prepared is another split"
    found = reference.load_reference(PROJECT.reference)
    assert found.bundle_id == bundle_id(champion)
    assert len(found.rows) == 240  # 300 in the challenger's split
    run(monkeypatch, "reference", "--bundle", str(PROJECT.bundle))
    assert reference.load_reference(PROJECT.reference).bundle_id == bundle_id(PROJECT.bundle)
    shutil.rmtree(".dvc/cache")
    with pytest.raises(CommentwiseError, match=r"data/prepared is not the split that .* neither in DVC's cache"):
        run(monkeypatch, "reference")


def test_watching_needs_no_command_before_it(
    champion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reference is missing at first, and then that of the challenger."""
    production = Production(tmp_path, champion)
    production.log(production.usual(60))
    flags = ["--prediction-log", production.url, "--window", "50"]
    for _ in range(2):
        run(monkeypatch, "watch", *flags)
        printed = capsys.readouterr().out
        assert "watch: " in printed
        assert "embeddings are left out" not in printed
        assert reference.load_reference(PROJECT.reference).bundle_id == bundle_id(champion)
        assert json.loads((PROJECT.monitoring / "report.json").read_text())["bundle_id"] == bundle_id(champion)
        run(monkeypatch, "reference", "--bundle", str(PROJECT.bundle))
    run(monkeypatch, "reference")
    production.bundle = PROJECT.bundle.rename(tmp_path / "elsewhere")
    production.log(production.usual(1))
    with pytest.raises(CommentwiseError, match="serve that one, champion version 1 of 'commentwise', with `"):
        run(monkeypatch, "watch", *flags)
