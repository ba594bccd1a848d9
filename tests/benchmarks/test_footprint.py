"""The footprint benchmark: sizes are those of all that a package needs, and what is missing says so."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from benchmarks.scale import footprint
from benchmarks.scale.footprint import NEEDS, Needs, extras, measure
from benchmarks.scale.installed import closure, environment, megabytes
from benchmarks.servers.contenders import contenders
from commentwise.fileio import read_json
from tests.benchmarks.made_up import HEALTHY, by_command

ROOT = Path(__file__).parents[2]
MEGABYTE = 1024**2


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def install(folder: Path, name: str, requires: Sequence[str] = (), size: int = MEGABYTE) -> None:
    """Lay a package out as pip does."""
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


def test_a_package_needs_what_its_requirements_need(packages: list[str]) -> None:
    assert closure(["app"], packages).keys() == {"app", "web-server", "loop"}
    assert closure(["web.server"], packages).keys() == {"web-server", "app", "loop"}  # app asks for the extra
    assert closure(["docs", "stranger"], packages).keys() == {"docs", "stranger"}
    assert megabytes(closure(["app"], packages).values()) == 3


def test_a_package_that_is_asked_for_must_be_there(packages: list[str]) -> None:
    with pytest.raises(PackageNotFoundError, match="nowhere"):
        closure(["app", "nowhere>=2"], packages)


def test_an_environment_is_counted_without_what_installs(tmp_path: Path) -> None:
    for name in ("pip", "setuptools", "server"):
        install(tmp_path / "lib/python3.11/site-packages", name)
    assert environment(tmp_path / "bin/python").keys() == {"server"}


def test_the_server_needs_nothing_that_trains() -> None:
    needed = closure(extras()["serve"])
    assert {"litserve", "onnxruntime", "uvicorn"} <= needed.keys()
    assert not {"torch", "mlflow", "pandas"} & needed.keys()


def test_a_server_is_started_as_often_as_asked(packages: list[str]) -> None:
    needs = Needs("import json, sqlite3", lambda: closure(["app"], packages))
    facts = measure(by_command("-c", HEALTHY), needs, repeats=2)
    assert (facts["install_mb"], facts["packages"]) == (3, 3)
    for name in ("import_seconds", "ready_seconds"):
        assert len(facts[name]["rounds"]) == 2
        assert 0 < min(facts[name]["rounds"]) <= facts[name]["value"] <= max(facts[name]["rounds"])
    assert facts["memory_mb"] > 5


def test_what_cannot_be_measured_is_named(packages: list[str]) -> None:
    healthy = by_command("-c", HEALTHY)
    absent = Needs("import json", lambda: closure(["nowhere"], packages))
    assert measure(healthy, absent, 1) == {"missing": "nowhere is not installed"}
    broken = Needs("import no_such_module", lambda: {})
    assert "No module named 'no_such_module'" in measure(healthy, broken, 1)["failed"]
    dead = by_command("-c", "raise SystemExit(3)")
    assert "exit code 3" in measure(dead, absent, 1)["failed"]


def test_every_contender_has_its_needs_and_quick_names_what_it_leaves_out(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [server.name for server in contenders(tiny_bundle, None)] == list(NEEDS)
    out, project = tmp_path / "footprint.json", tmp_path / "pyproject.toml"
    extra = 'optional-dependencies = { small = [], absent = ["no-such-package"] }'
    project.write_text(f'[project]\ndependencies = ["packaging"]\n{extra}\n', encoding="utf-8")
    monkeypatch.setattr(footprint, "PROJECT", project)
    monkeypatch.setattr(footprint, "QUICK", ())
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("sys.argv", ["footprint", "--quick", "--bundle", str(tiny_bundle), "--out", str(out)])
    footprint.main()
    result = read_json(out)
    assert result["servers"] == {name: {"missing": "left out by --quick"} for name in NEEDS}
    assert result["extras"]["small"] > 0
    assert result["extras"]["absent"] == {"missing": "no-such-package is not installed"}
