"""The files of Prometheus and Grafana are valid, and use metrics that exist."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from commentwise.serving.runtime.metrics import Metrics
from tests.deploy.manifests import DEPLOY, ROOT, compose, needs_promtool, read_yaml

DASHBOARD = DEPLOY / "grafana/dashboards/commentwise.json"


def panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"])


def expressions() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


@needs_promtool
def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "metrics_key").write_text("key", encoding="utf-8")
    for path in (DEPLOY / "prometheus").iterdir():
        text = path.read_text(encoding="utf-8").replace("/run/secrets", str(tmp_path))
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_prometheus_scrapes_the_server_with_its_key() -> None:
    [configuration] = read_yaml(DEPLOY / "prometheus/prometheus.yml")
    [job] = configuration["scrape_configs"]
    service = compose()["services"]["prometheus"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{service['secrets'][0]}"
    assert job["static_configs"] == [{"targets": ["server:8000"]}]


@needs_promtool
def test_every_expression_of_the_dashboard_is_valid(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "1m").replace("$instance", ".*")}
        for number, expr in enumerate(expressions())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_the_dashboard_is_exported() -> None:
    exported = set(re.findall(r"^# TYPE (\S+)", Metrics(lambda: 0, lambda: 0).text().decode(), re.MULTILINE))
    watch = (ROOT / "monitoring/actions/alerts.py").read_text(encoding="utf-8")
    exported |= set(re.findall(r"# TYPE (\w+)", watch))
    used = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for expr in expressions()
        for name in re.findall(r"\b(?:commentwise|te)_\w+", expr)
    }
    assert used <= exported


def test_panels_have_unique_ids_and_positions() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in panels()})
    [source] = read_yaml(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"]
    assert {panel["datasource"]["uid"] for panel in panels()} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
