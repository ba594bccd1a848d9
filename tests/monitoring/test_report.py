"""The report's page, its JSON, and the run in MLflow."""

import json
import re
import xml.dom.minidom
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from commentwise.models.bundle import bundle_id
from commentwise.monitoring.report import mlflow_record
from commentwise.monitoring.report import page as report
from commentwise.monitoring.settings import WindowSettings, read
from commentwise.monitoring.signals.analysis import Analysis, analyse
from tests.monitoring.production import Production
from tests.training.conftest import work
from tests.training.test_publish import MODEL, PROJECT, client, make_bundle, printed, store

__all__ = ["client", "store", "work"]  # fixtures


@pytest.fixture(scope="module")
def settings(drifted: Production) -> WindowSettings:
    return read(WindowSettings, "drift", drifted.flags)


@pytest.fixture(scope="module")
def analysis(settings: WindowSettings) -> Analysis:
    return analyse(settings)


@pytest.fixture(scope="module")
def page(analysis: Analysis, settings: WindowSettings) -> str:
    report.write(analysis, settings)
    return (settings.out / "report.html").read_text(encoding="utf-8")


class Resources(HTMLParser):
    """Collects the resources that a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attributes}
        if tag in ("script", "link", "iframe"):
            self.loads.append(tag)
        self.loads += [value for name in ("src", "href", "xlink:href") if (value := named.get(name, "#"))[:1] != "#"]


def test_the_page_loads_nothing(page: str) -> None:
    resources = Resources()
    resources.feed(page)
    assert resources.loads == []
    assert re.findall(r"url\((?!#)|@import", page) == []


def test_every_signal_has_its_plot_and_every_window_its_row(page: str, analysis: Analysis) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == len(analysis.verdicts[-1].outcomes) + 2  # accuracy and power
    for picture in pictures:
        xml.dom.minidom.parseString(picture)
    assert page.count('<b class="none">') == 3
    assert (page.count('<b class="warn">'), page.count('<b class="alert">')) == (1, 1)
    assert "liquidity" in page


def test_words_from_comments_are_escaped(analysis: Analysis) -> None:
    latest = analysis.verdicts[-1]
    outcome = replace(latest.outcomes["domain"], words=("<script>",))
    escaped = replace(latest, outcomes=latest.outcomes | {"domain": outcome})
    page = report.page(replace(analysis, verdicts=[*analysis.verdicts[:-1], escaped]), [30, 50], {"0.05": [0.5, 0.6]})
    assert "&lt;script&gt;" in page
    assert "<script>" not in page


def test_the_json_has_all_figures(page: str, settings: WindowSettings) -> None:
    content = json.loads((settings.out / "report.json").read_text(encoding="utf-8"))
    assert content["severity"] == "alert"
    assert [window["severity"] for window in content["windows"]] == ["none"] * 3 + ["warn", "alert"]
    assert content["power"]["sizes"] == [30, 50, 100, 150]
    assert all(len(shares) == 4 for shares in content["power"]["noticed_by_loss"].values())
    last = content["windows"][-1]
    assert last["words"][0] in ("liquidity", "rebalance")
    assert last["estimated"]["accuracy"]["low"] < last["estimated"]["accuracy"]["value"]
    assert last["means"]["tokens"] > content["windows"][0]["means"]["tokens"]


def test_a_single_window_is_enough_for_a_page(production: Production) -> None:
    production.log(production.usual(50))
    one = read(WindowSettings, "drift", production.flags)
    report.write(analyse(one), one)
    assert "As expected" in (production.out / "report.html").read_text(encoding="utf-8")


def test_findings_are_logged_once_with_the_version_of_the_model(
    client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bundle(0)
    printed(capsys)
    here = Production(tmp_path, PROJECT.bundle)
    here.log([*here.usual(100), *here.different(100)])
    settings = read(WindowSettings, "drift", here.flags)
    analysis = analyse(settings)
    report.write(analysis, settings)
    run_id = mlflow_record.record(PROJECT, analysis, settings.out)
    assert mlflow_record.record(PROJECT, analysis, settings.out) == run_id
    run = client.get_run(run_id)
    assert run.data.tags["model_version"] == "1"
    assert run.data.tags["severity"] == "alert"
    assert run.data.metrics["estimated_accuracy"] == analysis.estimates[-1]["accuracy"].value
    assert {file.path for file in client.list_artifacts(run_id)} == {"report.html", "report.json"}
    version = client.get_model_version(MODEL, "1")
    assert version.tags[mlflow_record.MONITOR_TAG].startswith("alert: Since ")
    assert run.data.tags["commentwise.bundle.monitored"] == bundle_id(PROJECT.bundle)
    assert mlflow.active_run() is None
