"""Wheel and sdist hold the package `commentwise` and nothing else, and live beside packages of the same short names."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient  # noqa: F401  # named by the fixtures' annotations

from tests.package.conftest import SHORT_NAMES, Distributions, Environment
from tests.package.extras import ROOT
from tests.training.conftest import work  # noqa: F401  # fixture
from tests.training.test_publish import client, store  # noqa: F401  # fixtures
from tests.training.test_spark import published  # noqa: F401  # fixture

OWN = f"""
import {", ".join(SHORT_NAMES)}
assert {{module.OWNER for module in ({", ".join(SHORT_NAMES)})}} == {{"somebody else"}}
"""

FOLDERS = ("commentwise/serving/http/playground", "commentwise/training/workspace/template")
FILES = {"commentwise/py.typed", *(f"{name}/{path.name}" for name in FOLDERS for path in (ROOT / name).iterdir())}


def modules() -> set[str]:
    """The modules of this checkout, as paths in the package."""
    return {
        str(path.relative_to(ROOT))
        for folder in ("commentwise", *(f"commentwise/{name}" for name in SHORT_NAMES))
        for path in (ROOT / folder).rglob("*.py")
    }


def names(distribution: Path) -> set[str]:
    """The files of a wheel or an sdist, the latter without their common folder."""
    if distribution.suffix == ".whl":
        with zipfile.ZipFile(distribution) as wheel:
            return set(wheel.namelist())
    with tarfile.open(distribution) as sdist:
        return {member.name.partition("/")[2] for member in sdist if member.isfile()}


def test_a_wheel_holds_the_package_alone(distributions: Distributions) -> None:
    content = {name for name in names(distributions.wheel) if ".dist-info/" not in name}
    assert content == {*modules(), *FILES}
    assert names(distributions.wheel_of_sdist) == names(distributions.wheel)


def test_an_sdist_holds_the_package_and_its_metadata_alone(distributions: Distributions) -> None:
    metadata = {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg"}
    content = {name for name in names(distributions.sdist) if not name.startswith("commentwise.egg-info/")}
    assert content == {*modules(), *FILES, *metadata}


@pytest.fixture
def installed(foreign: Environment, distributions: Distributions) -> Environment:
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--quiet",
        "--disable-pip-version-check",
        "--python",
        str(foreign.python),
        "install",
    ]
    subprocess.run([*pip, "--no-index", "--no-deps", "--ignore-installed", distributions.wheel], check=True)
    return foreign


def test_the_package_works_beside_foreign_ones(installed: Environment, tiny_bundle: Path, tmp_path: Path) -> None:
    code = f"""
{OWN}
from pathlib import Path
import commentwise
from commentwise import AsyncClient, Classifier, Client
import commentwise.models, commentwise.serving, commentwise.training, commentwise.comments, commentwise.monitoring
assert commentwise.__file__.startswith({str(installed.packages)!r}), commentwise.__file__
assert commentwise.models.__file__ == {str(installed.packages / "commentwise/models/__init__.py")!r}
print(Classifier(Path({str(tiny_bundle)!r})).predict(["a good video"])[0].label)
{OWN}
"""
    assert installed.run(tmp_path, "-c", code) == "positive\n"
    command = subprocess.run([installed.python.with_name("commentwise"), "--version"], capture_output=True, check=True)
    assert command.stdout.startswith(b"commentwise ")


@pytest.mark.slow
def test_a_consumer_sees_the_types(installed: Environment, tmp_path: Path) -> None:
    (tmp_path / "consumer.py").write_text(
        "from commentwise import Client, __version__\n"
        "label: str = Client('http://127.0.0.1').analyze('text').sentiment\n"
        "wrong: int = Client('http://127.0.0.1').analyze('text').sentiment\n",
        encoding="utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--python-executable",
        str(installed.python),
    ]
    done = subprocess.run(
        [*command, "consumer.py"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert [line.partition(" error: ")[0] for line in done.stdout.splitlines()] == ["consumer.py:3:"], done.stdout


def test_a_registered_model_loads_beside_foreign_packages(
    foreign: Environment,
    published: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    code = f"""
{OWN}
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/commentwise@champion")
print(model.predict(pandas.DataFrame({{"text": ["a good video"]}})).label[0])
import commentwise.models
assert "/code/commentwise/models/" in commentwise.models.__file__, commentwise.models.__file__
{OWN}
"""
    (tmp_path / "elsewhere").mkdir()
    uri = f"sqlite:///{Path('mlflow.db').resolve()}"
    assert foreign.run(tmp_path / "elsewhere", "-c", code, MLFLOW_TRACKING_URI=uri).split() == ["positive"]
