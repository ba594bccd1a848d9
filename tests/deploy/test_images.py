"""The Dockerfiles. No image is built here, since that needs a container engine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import psutil
import pytest

from commentwise.serving.demo import free_port
from tests.deploy.manifests import DEPLOY, ROOT, compose, needs_root
from tests.waiting import until

DOCKERFILES = sorted(DEPLOY.glob("*.Dockerfile"))
SERVE_PYTHON = ROOT / ".venv-serve/bin/python"
BASE_MEGABYTES = 125
"""Unpacked size of python:3.11-slim-bookworm."""


def extras() -> set[str]:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return set(content["project"]["optional-dependencies"])


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_dockerfiles_pass_hadolint(path: Path) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, "--no-color", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_images_have_a_pinned_base_and_an_unprivileged_user(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    bases = re.findall(r"^(?:FROM|ARG PYTHON=) ?(\S+/?python:\S+|python:\S+)", text, re.MULTILINE)
    assert bases
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-bookworm@sha256:[0-9a-f]{64}", base) for base in bases)
    final = text.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["10001:10001"]


def test_images_install_existing_extras() -> None:
    named = compose()["services"]["server"]["build"]["args"]["EXTRAS"].split(",")
    for path in DOCKERFILES:
        for group in re.findall(r'"\.\[([\w,]+)\]"', path.read_text(encoding="utf-8")):
            named += group.split(",")
    assert set(named) <= extras()


def test_the_build_context_has_everything_that_is_installed() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    packages = {
        "commentwise",
        *(path.readlink().name for path in (ROOT / "commentwise").iterdir() if path.is_symlink()),
    }
    assert packages | {"pyproject.toml", "requirements.lock", "README.md", "LICENSE"} <= sent


def test_the_serving_image_stays_below_400_megabytes() -> None:
    assert SERVE_PYTHON.exists(), "run the tests with `make test`, which creates .venv-serve"
    [packages] = (SERVE_PYTHON.parents[1] / "lib").glob("python*/site-packages")
    installers = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")  # not in the image
    files = [path for entry in packages.iterdir() if not entry.name.startswith(installers) for path in entry.rglob("*")]
    size = sum(path.stat().st_size for path in files if path.is_file())
    assert 100 < size / 1e6 < 400 - BASE_MEGABYTES


@needs_root
def test_the_server_runs_unprivileged_on_a_read_only_file_system(tiny_bundle: Path, tmp_path: Path) -> None:
    """As in a container: everything but /tmp is read-only, user 10001 has no privileges, and only `serve` is installed."""
    port, home = free_port(), Path(sys.base_prefix)
    script = f"""
        set -eu
        mount --make-rprivate /
        mount -t tmpfs -o mode=755 tmpfs /mnt
        mkdir /mnt/bundle /mnt/python /mnt/serve
        mount --bind {tiny_bundle} /mnt/bundle
        mount --bind {home} /mnt/python
        mount --bind {SERVE_PYTHON.parents[1]} /mnt/serve
        mount -t tmpfs -o mode=755 tmpfs /root  # Python may be there, where user 10001 has no access
        mkdir -p {home} && mount --bind /mnt/python {home}
        mount -t tmpfs tmpfs /tmp
        mount -o remount,ro,bind /
        cd /tmp
        ! touch /refused 2>/dev/null
        exec env -i PATH=/usr/bin:/bin HOME=/tmp COMMENTWISE_MODEL=/mnt/bundle COMMENTWISE_PORT={port} \\
            setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs --bounding-set=-all \\
            /mnt/serve/bin/python -m commentwise serve
    """
    output = tmp_path / "output"
    with output.open("w") as log:
        server = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=log, stderr=log)
    try:
        until(lambda: server.poll() is not None or _is_ready(port))
        assert server.poll() is None, output.read_text()
        assert psutil.Process(server.pid).uids().real == 10001
    finally:
        server.terminate()
        server.wait(30)
    assert server.returncode == 0, output.read_text()


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").is_success
    except httpx.TransportError:
        return False
