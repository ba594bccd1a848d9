"""compose.yaml is valid, and every name in it exists."""

import re
import subprocess
import sys

import mlflow.environment_variables

from commentwise.serving.http.routes import route_table
from commentwise.serving.settings import PREFIX
from tests.deploy.manifests import DEPLOY, ROOT, SETTINGS, compose


def test_compose_yaml_fits_the_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, DEPLOY / "compose.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_server_or_mlflow_reads_every_setting() -> None:
    for service in compose()["services"].values():
        for name in service.get("environment", {}):
            if name.startswith(PREFIX):
                assert name in SETTINGS
            elif name.startswith("MLFLOW_") and name not in ("MLFLOW_DB_PASSWORD", "MLFLOW_DISABLE_TELEMETRY"):
                assert hasattr(mlflow.environment_variables, name) or name in _READ_BY_ITS_SERVER, name


_READ_BY_ITS_SERVER = ("MLFLOW_BACKEND_STORE_URI", "MLFLOW_ARTIFACTS_DESTINATION")
"""Options of `mlflow server`, which it also reads from the environment."""


def test_the_example_environment_lists_every_variable() -> None:
    example = (DEPLOY / "env.example").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE))
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", (DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    used |= {secret["environment"] for secret in compose()["secrets"].values()}
    assert listed == used


def test_every_mounted_folder_and_dockerfile_exists() -> None:
    for service in compose()["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose()["volumes"] or (DEPLOY / source).is_dir(), source
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()
        elif "@" in service["image"]:
            assert re.fullmatch(r"[\w/.-]+:[\w.-]+@sha256:[0-9a-f]{64}", service["image"])


def test_ports_are_bound_to_this_machine() -> None:
    for service in compose()["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_the_health_check_needs_no_key() -> None:
    dockerfile = (DEPLOY / "serving.Dockerfile").read_text(encoding="utf-8")
    [path] = re.findall(r"http://127\.0\.0\.1:8000(/[\w/]+)", dockerfile)
    assert path in route_table().probes


def test_the_stop_grace_period_is_longer_than_the_drain() -> None:
    from commentwise.serving.settings import Settings

    server = compose()["services"]["server"]
    drain = Settings.model_fields["drain_delay"].default + Settings.model_fields["drain_timeout"].default
    assert int(server["stop_grace_period"].removesuffix("s")) > drain
