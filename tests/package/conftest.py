"""The distributions of this checkout, and an environment that has packages of the same short names as ours."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.package.extras import ROOT

SAMPLE = "data/sample/comments.jsonl"
"""The template of projects has a link to it."""
NOT_PACKED = ("data/", "docs/", "extension/", "benchmarks/")
SHORT_NAMES = ("comments", "models", "training", "serving", "monitoring")
BUILD = """
import sys
from setuptools import build_meta
out = sys.argv[1]  # setuptools changes sys.argv
build_meta.build_sdist(out)
build_meta.build_wheel(out)
"""


class Distributions(NamedTuple):
    """A wheel, an sdist, and the wheel that is built from the sdist."""

    wheel: Path
    sdist: Path
    wheel_of_sdist: Path


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Built as pip builds them, from a copy of what git tracks here."""
    folder = tmp_path_factory.mktemp("distributions")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).exists() and (name == SAMPLE or not name.startswith(NOT_PACKED)):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name, follow_symlinks=False)
    wheel, sdist = _build(source, folder / "first")
    shutil.unpack_archive(sdist, folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return Distributions(wheel, sdist, _build(unpacked, folder / "second")[0])


def _build(source: Path, out: Path) -> tuple[Path, Path]:
    out.mkdir()
    done = subprocess.run([sys.executable, "-c", BUILD, out], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


class Environment(NamedTuple):
    """A virtual environment."""

    python: Path
    packages: Path

    def run(self, folder: Path, *arguments: str, **variables: str) -> str:
        """Run its Python in `folder`; return what it prints."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder)} | variables
        command = [str(self.python), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def foreign(tmp_path: Path) -> Environment:
    """An environment with somebody else's packages `models`, `serving` and so on, and with all libraries but ours."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    for name in SHORT_NAMES:
        (packages / name).mkdir()
        (packages / name / "__init__.py").write_text("OWNER = 'somebody else'\n", encoding="utf-8")
    # A plain path: what this environment has in .pth files, such as an editable install, does not come along.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return Environment(home / "bin" / "python", packages)
