"""Alerts, delivered over real HTTP and SMTP to local servers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiosmtpd.controller import Controller
from prometheus_client.parser import text_string_to_metric_families

from commentwise.errors import CommentwiseError
from commentwise.monitoring.actions import alerts
from commentwise.monitoring.actions.alerts import AlertSettings, notify, prometheus
from commentwise.monitoring.signals.analysis import Analysis
from commentwise.monitoring.signals.drift import Detector
from commentwise.monitoring.signals.performance import Score
from commentwise.monitoring.signals.reference import Reference
from commentwise.serving.demo import free_port
from tests.monitoring.test_drift import LABELS, SIZE, drawn

HOUR = 3600.0


@pytest.fixture(scope="module")
def alarm() -> Analysis:
    rng = np.random.default_rng(1)
    rows, targets = drawn(rng, 400)
    reference = Reference("b" * 64, LABELS, rows, targets, frozenset())
    verdicts = Detector(reference, None).judge([drawn(rng, SIZE, longer=3)[0] for _ in range(2)])
    score = Score(0.7, 0.6, 0.8)
    return Analysis(
        reference,
        score,
        verdicts,
        [{"accuracy": score, "macro_f1": score}] * 2,
        [(None, 0)] * 2,
        score,
        "comments are longer",
    )


@contextmanager
def hook(*statuses: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook that answers with these statuses, then with 200; its URL and the messages it accepted."""
    received: list[dict[str, Any]] = []
    answers = iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = next(answers, 200)
            if status == 200:
                received.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/secret", received
    finally:
        server.shutdown()
        server.server_close()


def at(analysis: Analysis, severity: str) -> Analysis:
    return replace(analysis, verdicts=[*analysis.verdicts[:-1], replace(analysis.verdicts[-1], severity=severity)])  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "PAUSES", (0.0, 0.01, 0.01))


def test_the_same_alert_is_sent_once_and_again_after_the_cool_down(alarm: Analysis, tmp_path: Path) -> None:
    with hook() as (url, received):
        settings = AlertSettings(webhook=url, out=tmp_path, cool_down=2)
        sent = [notify(alarm, settings, now=hours * HOUR) for hours in (0, 1, 1.9, 2.1, 3)]
    assert sent == [["webhook"], [], [], ["webhook"], []]
    assert received[0]["text"].splitlines()[1:] == [
        "comments are longer",
        "What to do: docs/runbook.md#the-comments-have-changed",
    ]


def test_a_worse_alert_and_the_all_clear_are_sent_at_once(alarm: Analysis, tmp_path: Path) -> None:
    with hook() as (url, received):
        settings = AlertSettings(webhook=url, out=tmp_path)
        for hour, severity in enumerate(["none", "warn", "alert", "warn", "none", "none"]):
            notify(at(alarm, severity), settings, now=hour * HOUR)
    assert [message["text"].split(" ")[0] for message in received] == ["⚠️", "🚨", "✅"]


def test_warnings_can_be_switched_off(alarm: Analysis, tmp_path: Path) -> None:
    with hook() as (url, received):
        settings = AlertSettings(webhook=url, out=tmp_path, min_severity="alert")
        for severity in ("warn", "alert"):
            notify(at(alarm, severity), settings)
    assert len(received) == 1


def test_a_failed_delivery_is_retried_and_logged(alarm: Analysis, tmp_path: Path) -> None:
    with hook(500, 503) as (url, received):
        assert notify(alarm, AlertSettings(webhook=url, out=tmp_path)) == ["webhook"]
    assert len(received) == 1
    (line,) = (tmp_path / "deliveries.jsonl").read_text().splitlines()
    assert json.loads(line)["failure"] == ""


def test_a_failed_delivery_is_an_error_without_the_secret_and_is_sent_in_the_next_run(
    alarm: Analysis, tmp_path: Path
) -> None:
    with hook(500, 500, 500) as (url, received):
        settings = AlertSettings(webhook=url, out=tmp_path)
        with pytest.raises(CommentwiseError, match=r"not delivered: webhook \(127.0.0.1 answered 500\)"):
            notify(alarm, settings)
        assert notify(alarm, settings) == ["webhook"]
    assert len(received) == 1
    assert "secret" not in (tmp_path / "deliveries.jsonl").read_text()


def test_an_unreachable_webhook_is_an_error(alarm: Analysis, tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match="not delivered: webhook"):
        notify(alarm, AlertSettings(webhook=f"http://127.0.0.1:{free_port()}", out=tmp_path))


def test_a_mail_has_the_report_attached(alarm: Analysis, tmp_path: Path) -> None:
    mails: list[Any] = []

    class Inbox:
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            mails.append(envelope)
            return "250 OK"

    (tmp_path / "report.html").write_text("<p>the report")
    controller = Controller(Inbox(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        address = f"smtp://127.0.0.1:{controller.port}"
        settings = AlertSettings(smtp=address, mail_to="ann@example.org bob@example.org", out=tmp_path)
        assert notify(alarm, settings) == ["mail"]
    finally:
        controller.stop()
    (mail,) = mails
    assert mail.rcpt_tos == ["ann@example.org", "bob@example.org"]
    content = mail.content.decode()
    assert "comments are longer" in content
    assert 'filename="report.html"' in content


def test_a_dry_run_sends_nothing(alarm: Analysis, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with hook() as (url, received):
        assert notify(alarm, AlertSettings(webhook=url, out=tmp_path, dry_run=True)) == []
    assert received == []
    assert "would send to webhook:\n🚨 Comments have changed" in capsys.readouterr().out


def test_prometheus_can_parse_the_file(alarm: Analysis, tmp_path: Path) -> None:
    notify(alarm, AlertSettings(out=tmp_path))
    families = {
        family.name: family for family in text_string_to_metric_families((tmp_path / "commentwise.prom").read_text())
    }
    assert families["commentwise_drift_severity"].samples[0].value == 2
    assert {sample.labels["signal"] for sample in families["commentwise_drift_p_value"].samples} == set(
        alarm.verdicts[-1].adjusted
    )
    assert prometheus(alarm).endswith("\n")
