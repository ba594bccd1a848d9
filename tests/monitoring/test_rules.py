"""The Prometheus rules, triggered by the metrics of `commentwise watch` and of the server."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.manifests import ROOT, needs_promtool

RULES = ROOT / "deploy/prometheus/rules.yml"
DRIFTED = 'commentwise_drift_severity{bundle_id="b"}'
ROWS = 'commentwise_prediction_log_rows_total{outcome="dropped"}'


def rules() -> list[dict[str, object]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


@needs_promtool
@pytest.mark.parametrize(
    ("series", "alert"),
    [
        ([(DRIFTED, "0 2 2")], "CommentwiseCommentsChanged"),
        ([(DRIFTED, "0 1 1")], "CommentwiseCommentsMayHaveChanged"),
        (
            [
                ('commentwise_estimated_accuracy{bundle_id="b",bound="high"}', "0.8 0.7 0.7"),
                ('commentwise_baseline_accuracy{bundle_id="b"}', "0.75 0.75 0.75"),
            ],
            "CommentwiseEstimatedAccuracyFell",
        ),
        ([(ROWS, "0 5 10")], "CommentwiseLogLosesRows"),
    ],
)
def test_a_problem_fires_its_alert_and_no_other(series: list[tuple[str, str]], alert: str, tmp_path: Path) -> None:
    others = {str(rule["alert"]) for rule in rules()} - {alert}
    case = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                        "eval_time": "2m",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    }
                ],
                "alert_rule_test": [
                    {"alertname": name, "eval_time": "2m", "exp_alerts": []} for name in sorted(others)
                ],
            }
        ],
    }
    (tmp_path / "case.yml").write_text(yaml.safe_dump(case), encoding="utf-8")
    done = subprocess.run(
        ["promtool", "test", "rules", tmp_path / "case.yml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_rule_links_to_a_section_of_the_runbook() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    sections = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", runbook, re.MULTILINE)}
    for rule in rules():
        annotations = rule["annotations"]
        assert isinstance(annotations, dict)
        page, _, section = annotations["runbook_url"].partition("#")
        assert (page, section in sections) == ("docs/runbook.md", True), rule["alert"]
