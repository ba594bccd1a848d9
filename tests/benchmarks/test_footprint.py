"""The footprint benchmark: sizes include all dependencies, and missing servers are reported with the reason."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from benchmarks.result import read_result
from benchmarks.scale import footprint
from benchmarks.scale.footprint import measure
from benchmarks.scale.result import FootprintResult
from benchmarks.servers import contenders as server_contenders
from benchmarks.servers.contenders import contenders, extras
from benchmarks.servers.installed import closure, environment, megabytes
from tests.benchmarks.sample_servers import HEALTHY, by_command

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024**2


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def install(folder: Path, name: str, requires: Sequence[str] = (), size: int = MEGABYTE) -> None:
    """Write a package in the layout of pip."""
    facts = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    facts.mkdir(parents=True)
    (folder / f"{name}.py").write_bytes(b"#" * size)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {text}" for text in requires)]
    (facts / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (facts / "RECORD").write_text(f"{name}.py,,\n{name}-missing.py,,\n", encoding="utf-8")


@pytest.fixture
def packages(tmp_path: Path) -> list[str]:
    install(tmp_path, "app", ["Web_Server[fast] >= 1", "absent-cuda", 'windows-only; sys_platform == "never"'])
    install(tmp_path, "web-server", ['loop; extra == "fast"', 'docs; extra == "docs"', "app"])  # in a circle
    for name in ("loop", "docs", "windows-only", "stranger"):
        install(tmp_path, name)
    return [str(tmp_path)]


def test_a_package_needs_the_requirements_of_its_requirements(packages: list[str]) -> None:
    assert closure(["app"], packages).keys() == {"app", "web-server", "loop"}
    assert closure(["web.server"], packages).keys() == {"web-server", "app", "loop"}  # app asks for the extra
    assert closure(["docs", "stranger"], packages).keys() == {"docs", "stranger"}
    assert megabytes(closure(["app"], packages).values()) == 3


def test_a_required_package_must_be_installed(packages: list[str]) -> None:
    with pytest.raises(PackageNotFoundError, match="nowhere"):
        closure(["app", "nowhere>=2"], packages)


def test_an_environment_is_counted_without_the_installers(tmp_path: Path) -> None:
    for name in ("pip", "setuptools", "server"):
        install(tmp_path / "lib/python3.11/site-packages", name)
    assert environment(tmp_path / "bin/python").keys() == {"server"}


def test_the_server_needs_no_training_package() -> None:
    needed = closure(extras()["serve"])
    assert {"litserve", "onnxruntime", "uvicorn"} <= needed.keys()
    assert not {"torch", "mlflow", "pandas"} & needed.keys()


def test_serving_with_its_language_identifier_takes_at_most_250_megabytes() -> None:
    needed = closure(extras()["serve"])
    assert "py3langid" in needed
    assert megabytes(needed.values()) < 250


def test_every_figure_is_a_median_over_the_starts(packages: list[str]) -> None:
    server = by_command("-c", HEALTHY, imports="import json, sqlite3", packages=lambda: closure(["app"], packages))
    row = measure(server, repeats=2)
    assert "packages" in row
    assert (row["install_mb"], row["packages"]) == (3, 3)
    for figure in (row["import_seconds"], row["ready_seconds"]):
        assert len(figure["rounds"]) == 2
        assert 0 < min(figure["rounds"]) <= figure["value"] <= max(figure["rounds"])
    assert row["memory_mb"] > 5


def test_a_server_that_cannot_be_measured_has_the_reason(packages: list[str]) -> None:
    absent = by_command("-c", HEALTHY, packages=lambda: closure(["nowhere"], packages))
    assert measure(absent, 1) == {"missing": "nowhere is not installed"}
    broken = measure(by_command("-c", HEALTHY, imports="import no_such_module"), 1)
    assert "failed" in broken
    assert "No module named 'no_such_module'" in broken["failed"]
    dead = measure(by_command("-c", "raise SystemExit(3)"), 1)
    assert "failed" in dead
    assert "exit code 3" in dead["failed"]


def test_a_quick_run_names_the_servers_that_it_leaves_out(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = [replace(server, quick=False) for server in contenders(tiny_bundle, None)]
    out, project = tmp_path / "footprint.json", tmp_path / "pyproject.toml"
    extra = 'optional-dependencies = { small = [], absent = ["no-such-package"] }'
    project.write_text(f'[project]\ndependencies = ["packaging"]\n{extra}\n', encoding="utf-8")
    monkeypatch.setattr(server_contenders, "PROJECT", project)
    monkeypatch.setattr(footprint, "contenders", lambda *_: slow)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["footprint", "--quick", "--bundle", str(tiny_bundle), "--out", str(out)])
    footprint.main()
    result = read_result(FootprintResult, out)
    assert result["servers"] == {server.name: {"missing": "left out by --quick"} for server in slow}
    assert isinstance(result["extras"]["small"], float)
    assert result["extras"]["small"] > 0
    assert result["extras"]["absent"] == {"missing": "no-such-package is not installed"}
