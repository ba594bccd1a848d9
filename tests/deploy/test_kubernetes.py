"""The manifests fit Kubernetes' schemas, and are consistent with each other and with the server."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from commentwise.serving.http.routes import route_table
from commentwise.serving.settings import PREFIX, Settings
from tests.deploy.manifests import DEPLOY, KUBERNETES, SETTINGS, needs_kustomize, of_kind, read_yaml, rendered

OVERLAYS = ("overlays/cpu", "overlays/gpu")
SEPARATE = sorted([*KUBERNETES.glob("training/*.yaml"), *KUBERNETES.glob("kserve/*.yaml")])
SECRETS = read_yaml(KUBERNETES / "base/secrets.example.yaml")
KINDS_WITHOUT_SCHEMA = {"ServiceMonitor", "PrometheusRule", "InferenceService"}
"""Kinds of the Prometheus operator and KServe, whose schemas the validator lacks."""


def pods(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specifications of all pods that these documents create."""
    found = []
    for document in documents:
        match document["kind"]:
            case "Deployment" | "Job":
                found.append(document["spec"]["template"]["spec"])
            case "CronJob":
                found.append(document["spec"]["jobTemplate"]["spec"]["template"]["spec"])
            case "InferenceService":
                scaling = ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget")
                found.append({k: v for k, v in document["spec"]["predictor"].items() if k not in scaling})
    return found


def sources() -> list[list[dict[str, Any]]]:
    return [*(rendered(overlay) for overlay in OVERLAYS), *(read_yaml(path) for path in SEPARATE)]


def check(documents: list[dict[str, Any]], folder: Path) -> None:
    (folder / "documents.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    command = [str(Path(sys.executable).parent / "kubernetes-validate"), "--strict", "--no-warn"]
    done = subprocess.run([*command, folder / "documents.yaml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    schemas = sum(document["kind"] not in KINDS_WITHOUT_SCHEMA for document in documents)
    assert (done.stdout + done.stderr).count(" passed for resource ") == schemas


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_fits_the_schemas(overlay: str, tmp_path: Path) -> None:
    check(rendered(overlay), tmp_path)


@pytest.mark.parametrize("path", [*SEPARATE, KUBERNETES / "base/secrets.example.yaml"], ids=lambda path: path.stem)
def test_a_separate_manifest_fits_the_schemas(path: Path, tmp_path: Path) -> None:
    check(read_yaml(path), tmp_path)


def test_the_pods_of_kserve_fit_the_schema_of_pods(tmp_path: Path) -> None:
    [pod] = pods(read_yaml(KUBERNETES / "kserve/inference-service.yaml"))
    check([{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kserve"}, "spec": pod}], tmp_path)


@needs_kustomize
def test_pods_are_unprivileged_with_a_read_only_file_system() -> None:
    found = [pod for documents in sources() for pod in pods(documents)]
    assert len(found) == 2 * len(OVERLAYS) + len(SEPARATE)
    for pod in found:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            context = container["securityContext"]
            assert not context["allowPrivilegeEscalation"]
            assert context["readOnlyRootFilesystem"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]
            assert "/tmp" in [mount["mountPath"] for mount in container["volumeMounts"]]
            assert {mount["name"] for mount in container["volumeMounts"]} <= {each["name"] for each in pod["volumes"]}


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_settings_exist_and_are_consistent(overlay: str) -> None:
    documents = rendered(overlay)
    settings = of_kind(documents, "ConfigMap")["data"]
    assert {name for name in settings if name.startswith(PREFIX)} <= SETTINGS
    pod = of_kind(documents, "Deployment")["spec"]["template"]["spec"]
    drain = float(settings["COMMENTWISE_DRAIN_DELAY"]) + float(settings["COMMENTWISE_DRAIN_TIMEOUT"])
    assert drain + 10 <= pod["terminationGracePeriodSeconds"]
    keys = settings["COMMENTWISE_API_KEYS_FILE"]
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert keys.rpartition("/")[0] in mounts
    named = {reference["configMapRef"]["name"] for reference in pod["containers"][0]["envFrom"][:1]}
    assert named == {of_kind(documents, "ConfigMap")["metadata"]["name"]}
    assert settings["COMMENTWISE_DEVICE"] == overlay.rpartition("/")[2].replace("gpu", "cuda")


def test_kserve_settings_exist_and_leave_time_to_drain() -> None:
    [pod] = pods(read_yaml(KUBERNETES / "kserve/inference-service.yaml"))
    settings = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    assert {name for name in settings if name.startswith(PREFIX)} <= SETTINGS
    drain = float(settings["COMMENTWISE_DRAIN_DELAY"]) + float(settings["COMMENTWISE_DRAIN_TIMEOUT"])
    assert drain + 10 <= pod["terminationGracePeriodSeconds"]


@needs_kustomize
def test_probes_use_routes_that_need_no_key() -> None:
    paths = set()
    for documents in sources():
        for pod in pods(documents):
            for container in pod["containers"]:
                for name in ("startupProbe", "readinessProbe", "livenessProbe"):
                    if name in container:
                        paths.add(container[name]["httpGet"]["path"])
    assert paths == {"/health", "/health/live", "/v2/health/ready", "/v2/health/live"}
    assert paths <= route_table().probes
    assert Settings.model_fields["open_health"].default is True


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_selectors_and_references_match(overlay: str) -> None:
    documents = rendered(overlay)
    deployment, service = of_kind(documents, "Deployment"), of_kind(documents, "Service")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for kind, path in (
        ("Service", ("selector",)),
        ("NetworkPolicy", ("podSelector", "matchLabels")),
        ("PodDisruptionBudget", ("selector", "matchLabels")),
        ("Deployment", ("selector", "matchLabels")),
    ):
        selector = of_kind(documents, kind)["spec"]
        for name in path:
            selector = selector[name]
        assert selector.items() <= labels.items(), kind
    assert of_kind(documents, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "commentwise"
    assert "replicas" not in deployment["spec"], "applying it would overwrite the number set by the autoscaler"
    ports = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    [rule] = of_kind(documents, "Ingress")["spec"]["rules"]
    for entry in rule["http"]["paths"]:
        assert entry["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"name": "http"}}
    monitor = of_kind(documents, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert [endpoint["port"] for endpoint in monitor["endpoints"]] == ["http"]


def test_the_rules_of_the_operator_equal_those_of_prometheus() -> None:
    [ours] = read_yaml(DEPLOY / "prometheus/rules.yml")
    [theirs] = read_yaml(KUBERNETES / "monitoring/prometheus-rule.yaml")
    assert theirs["spec"] == ours


@needs_kustomize
def test_every_secret_has_a_template() -> None:
    templates = {secret["metadata"]["name"]: set(secret["stringData"]) for secret in SECRETS}
    for documents in sources():
        for pod in pods(documents):
            for container in pod["containers"]:
                for reference in container.get("envFrom", []):
                    assert "configMapRef" in reference or reference["secretRef"]["name"] in templates
            for volume in pod["volumes"]:
                assert "secret" not in volume or volume["secret"]["secretName"] in templates
    credentials = of_kind(rendered(OVERLAYS[0]), "ServiceMonitor")["spec"]["endpoints"][0]["authorization"][
        "credentials"
    ]
    assert credentials["key"] in templates[credentials["name"]]


@needs_kustomize
def test_jobs_run_commands_that_exist() -> None:
    for documents in sources():
        for pod in pods(documents):
            for script in (argument for container in pod["containers"] for argument in container.get("args", [])):
                words = shlex.split(script.replace("$(", " ").replace(")", " "))
                for module in (
                    words[place + 1] for place, word in enumerate(words) if word == "-m" and words[place - 1] != "set"
                ):
                    path = KUBERNETES.parents[1] / module.replace(".", "/")
                    assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
                subprocess.run(["bash", "-n", "-c", script], check=True)
