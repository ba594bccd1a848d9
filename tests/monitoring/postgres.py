"""A PostgreSQL server that tests may stop and start."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from commentwise.serving.demo import free_port

USER = "postgres"


def _programs() -> Path | None:
    """The folder of initdb and pg_ctl: Debian keeps them out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


PROGRAMS = _programs()
needs_postgres = pytest.mark.skipif(
    PROGRAMS is None and "CI" not in os.environ, reason="PostgreSQL is missing: apt-get install postgresql"
)


@dataclass(frozen=True)
class Postgres:
    """The server."""

    url: str
    control: Callable[..., None]

    def start(self) -> None:
        self.control("start", "--wait")

    def stop(self) -> None:
        """Stop without waiting for connections to end, as a crash would."""
        self.control("stop", "--mode=immediate")


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Create a database cluster and start it; as root, with PostgreSQL's own user, as it requires."""
    assert PROGRAMS is not None, "PostgreSQL is missing: apt-get install postgresql"
    # Not below pytest's folders: every session that starts makes them private again.
    with TemporaryDirectory(prefix="postgres-") as folder:
        yield from _running(Path(folder), PROGRAMS)


def _running(folder: Path, programs: Path) -> Iterator[Postgres]:
    data, port = folder / "data", free_port()
    data.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
        for path in (folder, data):
            shutil.chown(path, USER)

    def run(program: str, *arguments: str) -> None:
        output = folder / "output"
        with output.open("w") as stream:  # not a pipe, which the server would keep open
            command = [*as_user, str(programs / program), "-D", str(data), *arguments]
            environment = os.environ | {"LC_ALL": "C"}
            done = subprocess.run(command, cwd=folder, stdout=stream, stderr=stream, check=False, env=environment)
        assert done.returncode == 0, output.read_text() + (folder / "log").read_text()

    run("initdb", "--username=test", "--auth=trust", "--encoding=UTF8", "--no-sync")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"

    def control(action: str, *arguments: str) -> None:
        run("pg_ctl", action, "-l", str(folder / "log"), "-o", options, *arguments)

    server = Postgres(f"postgresql+psycopg://test@127.0.0.1:{port}/postgres", control)
    server.start()
    try:
        yield server
    finally:
        if (data / "postmaster.pid").exists():
            server.stop()
