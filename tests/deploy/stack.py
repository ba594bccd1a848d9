"""The services of compose.yaml as processes on this machine, with the files and settings of deploy/.

A network and a mount namespace replace the containers: the services reach each other by the names and ports of
compose.yaml, and find their files where compose.yaml mounts them. moto's S3 server replaces the one in compose.yaml.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.deploy.manifests import DEPLOY, ROOT, compose
from tests.waiting import until

BUCKET = "commentwise"
MAX_START_SECONDS = 300
"""Seconds: MLflow creates the tables of two databases, migration by migration."""
POSTGRES_PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
needs_stack = pytest.mark.skipif(
    "CI" not in os.environ
    and (os.geteuid() != 0 or not POSTGRES_PROGRAMS or None in map(shutil.which, ("prometheus", "ip", "nsenter"))),
    reason="it needs root, for namespaces, and PostgreSQL and Prometheus: apt-get install postgresql prometheus",
)

NAMESPACE = """
set -eu
mount --make-rprivate /
ip link set lo up
mkdir -p "$FOLDER/etc" "$FOLDER/work" "$FOLDER/secrets"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$FOLDER/etc,workdir=$FOLDER/work" /etc
mkdir -p /etc/mlflow /etc/prometheus
mount --bind "$DEPLOY/mlflow" /etc/mlflow
mount --bind "$DEPLOY/prometheus" /etc/prometheus
echo "127.0.0.1 localhost postgres s3 mlflow server prometheus" > /etc/hosts
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/secrets
printf %s "$METRICS_KEY" > /run/secrets/metrics_key
echo ready
exec sleep infinity
"""


class Stack:
    """The namespaces, and the services running in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = secrets.token_urlsafe(32)
        self.values = {
            **{name: secrets.token_hex(12) for name in re.findall(r"\$\{([A-Z0-9_]+)", _text())},
            "METRICS_KEY": key,
            "COMMENTWISE_API_KEYS": f"prometheus:{hashlib.sha256(key.encode()).hexdigest()}",
        }
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        variables = {"FOLDER": str(folder), "DEPLOY": str(DEPLOY), "METRICS_KEY": key}
        self._namespace = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c", NAMESPACE],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._namespace.stdout is not None
        assert self._namespace.stdout.readline() == "ready\n"

    def close(self) -> None:
        for name in reversed(list(self._services)):
            # No graceful shutdown is needed. PostgreSQL has processes outside its group, which it stops itself.
            self.stop(name, signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
        self._namespace.kill()
        self._namespace.wait()

    def inside(self, *command: str, cwd: Path | None = None) -> list[str]:
        """The command line that runs a command in the namespaces."""
        enter = ["nsenter", f"--target={self._namespace.pid}", "--net", "--mount"]
        return [*enter, "sh", "-c", 'cd "$0" && exec "$@"', str(cwd or Path.cwd()), *command]

    def run(
        self, *command: str, variables: Mapping[str, str] = {}, fails: bool = False, cwd: Path | None = None
    ) -> str:
        """Run a command in the namespaces and return its output."""
        done = subprocess.run(
            self.inside(*command, cwd=cwd),
            env={**clean_environment(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode != 0) == fails, f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def environment(self, service: str) -> dict[str, str]:
        """The environment of a service in compose.yaml, with the values filled in."""
        given = compose()["services"][service].get("environment", {})
        return {name: re.sub(r"\$\{([A-Z0-9_]+)[^}]*\}", self._value, text) for name, text in given.items()}

    def _value(self, found: re.Match[str]) -> str:
        return self.values[found[1]]

    def start(self, service: str, *command: str, **variables: str) -> None:
        """Start a service's program with its settings from compose.yaml."""
        self._services[service] = subprocess.Popen(
            self.inside(*command, cwd=self.folder),
            env=clean_environment() | self.environment(service) | variables,
            stdout=self._log(service),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def stop(self, service: str, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop a service with all its processes."""
        process = self._services.pop(service)
        os.killpg(process.pid, how)
        process.wait(60)

    def said(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(encoding="utf-8", errors="replace")

    def _log(self, service: str) -> IO[bytes]:
        return (self.folder / f"{service}.log").open("ab")

    def get(self, url: str, *options: str) -> tuple[int, str]:
        """Send an HTTP request; return the status (0 without an answer) and the body."""
        done = subprocess.run(
            self.inside("curl", "--silent", "--write-out", "\n%{http_code}", *options, url),
            capture_output=True,
            text=True,
            check=False,
            env=clean_environment(),
        )
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body

    def until_healthy(self, service: str, url: str) -> None:
        def done() -> bool:
            assert self._services[service].poll() is None, self.said(service)
            return self.get(url)[0] == 200

        until(done, MAX_START_SECONDS)

    def start_postgres(self) -> None:
        """Create the cluster as the image does, with passwords, and run databases.sql; or start the existing one."""
        data, programs = self.folder / "postgres", POSTGRES_PROGRAMS[-1]
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--")
        new = not data.exists()
        if new:
            data.mkdir()
            shutil.chown(data, "postgres")
            password = self.folder / "password"
            password.write_text(self.values["POSTGRES_PASSWORD"], encoding="utf-8")
            shutil.chown(password, "postgres")
            options = ("--username=postgres", "--auth=scram-sha-256", "--no-sync", f"--pwfile={password}")
            self.run(*as_postgres, str(programs / "initdb"), "-D", str(data), *options, cwd=data)
        server = (str(programs / "postgres"), "-D", str(data), "-k", str(data), "-c", "fsync=off")
        self.start("postgres", *as_postgres, *server)
        until(lambda: "accepting" in self._ask("pg_isready", "--host=postgres"))
        if new:
            self.run(
                *("psql", "--host=postgres", "--username=postgres", "--no-psqlrc", "--set=ON_ERROR_STOP=1"),
                f"--file={DEPLOY / 'postgres/databases.sql'}",
                variables={**self.environment("postgres"), "PGPASSWORD": self.values["POSTGRES_PASSWORD"]},
            )

    def _ask(self, *command: str) -> str:
        return subprocess.run(self.inside(*command), capture_output=True, text=True, check=False).stdout

    def start_s3(self) -> None:
        """Start an S3 server with one account, which owns the bucket."""
        self.start("s3", sys.executable, "-m", "moto.server", "-H", "0.0.0.0", "-p", "8333")
        self.until_healthy("s3", "http://s3:8333/moto-api/")
        code = f"""
import boto3, json
make = lambda name: boto3.client(name, endpoint_url="http://s3:8333", region_name="us-east-1",
                                 aws_access_key_id="any", aws_secret_access_key="any")
make("s3").create_bucket(Bucket="{BUCKET}")
iam = make("iam")
iam.create_user(UserName="commentwise")
policy = json.dumps({{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}]}})
iam.put_user_policy(UserName="commentwise", PolicyName="all", PolicyDocument=policy)
print(json.dumps({{k: v for k, v in iam.create_access_key(UserName="commentwise")["AccessKey"].items() if "Key" in k}}))
"""
        account = json.loads(self.run(sys.executable, "-c", code).splitlines()[-1])
        self.values |= {"S3_ACCESS_KEY": account["AccessKeyId"], "S3_SECRET_KEY": account["SecretAccessKey"]}
        # From now on, signatures are checked.
        assert self.get("http://s3:8333/moto-api/reset-auth", "--json", "0")[0] == 200

    def start_mlflow(self, **variables: str) -> None:
        """Run the command of mlflow.Dockerfile, with one worker instead of four."""
        text = (DEPLOY / "mlflow.Dockerfile").read_text(encoding="utf-8")
        entry: list[str] = json.loads(text.rpartition("ENTRYPOINT ")[2])
        self.start("mlflow", sys.executable, "-m", *entry, "--workers", "1", **variables)
        self.until_healthy("mlflow", "http://mlflow:5000/health")

    def start_prometheus(self) -> None:
        command: list[str] = compose()["services"]["prometheus"]["command"]
        place = f"--storage.tsdb.path={self.folder / 'prometheus'}"
        flags = [place if "tsdb.path" in flag else flag for flag in command]
        self.start("prometheus", "prometheus", *flags)
        self.until_healthy("prometheus", "http://prometheus:9090/-/ready")

    @property
    def mlflow_account(self) -> dict[str, str]:
        """The environment of a client that uses MLflow as its administrator."""
        return {
            "MLFLOW_TRACKING_URI": "http://mlflow:5000",
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": self.values["MLFLOW_ADMIN_PASSWORD"],
            "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        }

    @property
    def s3_account(self) -> dict[str, str]:
        """The environment of a client that uses S3."""
        return {
            "AWS_ENDPOINT_URL": "http://s3:8333",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.values["S3_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.values["S3_SECRET_KEY"],
        }


def clean_environment() -> dict[str, str]:
    """The environment, without settings of the person who runs the tests."""
    own = ("MLFLOW", "COMMENTWISE", "AWS", "PG", "DVC")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | {"PATH": path, "PYTHONPATH": str(ROOT), "no_proxy": "*"}


def _text() -> str:
    return (DEPLOY / "compose.yaml").read_text(encoding="utf-8")


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Run PostgreSQL, S3 and MLflow."""
    # Not in pytest's folders, which are private: PostgreSQL's user needs access.
    with tempfile.TemporaryDirectory(prefix="commentwise-stack-") as folder:
        os.chmod(folder, 0o711)
        stack = Stack(Path(folder))
        try:
            stack.start_postgres()
            stack.start_s3()
            stack.start_mlflow()
            yield stack
        finally:
            stack.close()
