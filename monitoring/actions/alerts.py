"""Alerts by webhook, by e-mail, and through a file that Prometheus reads.

The same alert is sent once, and again only after the cool-down; a worse one and the all-clear are sent at once. A failed
delivery is retried, immediately and at the next run; each delivery is logged in deliveries.jsonl.
"""

import json
import os
import smtplib
import sys
import time
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from pydantic import Field

from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json, write_json, write_text
from commentwise.monitoring.settings import WindowSettings
from commentwise.monitoring.signals.analysis import Analysis

SECTIONS = {
    "none": "",
    "warn": "#the-comments-may-have-changed",
    "alert": "#the-comments-have-changed",
}
"""Of the runbook, by severity."""
LEVELS = {"none": 0, "warn": 1, "alert": 2}
MARK = {"none": "✅", "warn": "⚠️", "alert": "🚨"}
TIMEOUT = 10
PAUSES = (0.0, 1.0, 4.0)
"""Seconds before each attempt of a delivery."""


class AlertSettings(WindowSettings):
    """The recipients of alerts, and how often they get them."""

    webhook: str = Field(
        default="", description="URL that accepts Slack messages; a secret, so better set in the environment"
    )
    smtp: str = Field(
        default="",
        description="mail server: smtp://HOST:PORT, smtp+starttls://USER@HOST or smtps://USER@HOST; password in COMMENTWISE_SMTP_PASSWORD",
    )
    mail_from: str = Field(default="commentwise@localhost", description="sender of the mails")
    mail_to: str = Field(default="", description="recipients of the mails, separated by spaces")
    cool_down: float = Field(default=24, ge=0, description="hours before the same alert is sent again")
    min_severity: str = Field(
        default="warn", pattern="^(warn|alert)$", description="lowest severity that is sent: warn or alert"
    )
    runbook: str = Field(default="docs/runbook.md", description="file or URL of the runbook, for the messages")
    dry_run: bool = Field(default=False, description="print the message instead of sending it")


def notify(analysis: Analysis, settings: AlertSettings, now: float | None = None) -> list[str]:
    """Send the alerts that are due, and write commentwise.prom; return the channels that accepted one.

    Raises CommentwiseError when a delivery failed in all attempts.
    """
    now = time.time() if now is None else now
    write_text(settings.out / "commentwise.prom", prometheus(analysis))
    channels = _channels(settings)
    state_file = settings.out / "alerts.json"
    state = _read_state(state_file)
    text = message(analysis, settings.runbook)
    due = [name for name in channels if _is_due(analysis, state.get(name), settings, now)]
    if settings.dry_run:
        print(f"would send to {', '.join(due) or 'no channel'}:\n{text}")
        return []
    failures, sent = [], []
    for name in due:
        reason = _deliver(lambda name=name: channels[name](text, analysis))  # type: ignore[misc]
        _log(settings.out, {"time": now, "channel": name, "severity": analysis.severity, "failure": reason})
        if reason:
            failures.append(f"{name} ({reason})")
            continue
        sent.append(name)
        state[name] = {"severity": analysis.severity, "bundle_id": analysis.reference.bundle_id, "time": now}
        write_json(state_file, state)
    if failures:
        raise CommentwiseError(f"not delivered: {', '.join(failures)}: fix the channel; the next run tries again")
    return sent


def message(analysis: Analysis, runbook: str) -> str:
    """The text of a message: a title, the summary, and a link to the runbook."""
    head = {
        "none": "Comments are as expected again",
        "warn": "Comments may have changed",
        "alert": "Comments have changed",
    }
    title = f"{MARK[analysis.severity]} {head[analysis.severity]} (bundle {analysis.reference.bundle_id[:12]})"
    return f"{title}\n{analysis.summary}\nWhat to do: {runbook}{SECTIONS[analysis.severity]}"


def prometheus(analysis: Analysis) -> str:
    """The findings as metrics, for the node exporter's textfile collector or any HTTP server that serves the file."""
    verdict, estimate = analysis.verdicts[-1], analysis.estimate
    bundle = f'bundle_id="{analysis.reference.bundle_id}"'
    lines = [
        "# HELP commentwise_drift_severity 0: as expected, 1: warning, 2: alert.",
        "# TYPE commentwise_drift_severity gauge",
        f"commentwise_drift_severity{{{bundle}}} {LEVELS[analysis.severity]}",
        "# HELP commentwise_drift_p_value Adjusted p-value of each signal in the latest window.",
        "# TYPE commentwise_drift_p_value gauge",
        *(
            f'commentwise_drift_p_value{{{bundle},signal="{name}"}} {value:.6g}'
            for name, value in verdict.adjusted.items()
        ),
        "# HELP commentwise_estimated_accuracy Accuracy since the latest change, estimated without labels.",
        "# TYPE commentwise_estimated_accuracy gauge",
        *(
            f'commentwise_estimated_accuracy{{{bundle},bound="{name}"}} {value:.6g}'
            for name, value in estimate.as_dict().items()
        ),
        "# HELP commentwise_baseline_accuracy Accuracy on the reference.",
        "# TYPE commentwise_baseline_accuracy gauge",
        f"commentwise_baseline_accuracy{{{bundle}}} {analysis.baseline.value:.6g}",
        "# HELP commentwise_monitoring_time_seconds Time of the analysis, in seconds since 1970.",
        "# TYPE commentwise_monitoring_time_seconds gauge",
        f"commentwise_monitoring_time_seconds {time.time():.0f}",
    ]
    return "\n".join(lines) + "\n"


def _is_due(analysis: Analysis, last: dict[str, Any] | None, settings: AlertSettings, now: float) -> bool:
    severity = analysis.severity
    if last is None or last["bundle_id"] != analysis.reference.bundle_id:
        return LEVELS[severity] >= LEVELS[settings.min_severity]
    if severity == "none":  # the all-clear, once
        return bool(last["severity"] != "none")
    if LEVELS[severity] < LEVELS[settings.min_severity]:
        return False
    return LEVELS[severity] > LEVELS[last["severity"]] or now - last["time"] >= 3600 * settings.cool_down


def _read_state(path: Path) -> dict[str, Any]:
    """The last alert by channel. A damaged file counts as empty: a repeated message is better than a missing one."""
    if not path.is_file():
        return {}
    try:
        return dict(read_json(path))
    except (ValueError, TypeError) as error:
        print(f"alerts: {path} is damaged ({error}); starting a new one", file=sys.stderr, flush=True)
        return {}


def _channels(settings: AlertSettings) -> dict[str, Callable[[str, Analysis], None]]:
    channels: dict[str, Callable[[str, Analysis], None]] = {}
    if settings.webhook:
        if not _is_url(settings.webhook, ("http", "https")):
            raise CommentwiseError("--webhook is not a URL: write https://HOST/…")
        channels["webhook"] = lambda text, analysis: _post(settings.webhook, text)
    if settings.smtp:
        if not settings.mail_to:
            raise CommentwiseError("--smtp needs --mail-to: name the recipients")
        if not _is_url(settings.smtp, ("smtp", "smtp+starttls", "smtps")):
            raise CommentwiseError(
                f"--smtp {settings.smtp!r} is not a mail server: write smtp://HOST:PORT, smtp+starttls://… or smtps://…"
            )
        channels["mail"] = lambda text, analysis: _mail(settings, text, analysis)
    return channels


def _is_url(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number
        return False


def _post(url: str, text: str) -> None:
    answer = httpx.post(url, json={"text": text}, timeout=TIMEOUT)
    if not answer.is_success:
        raise OSError(f"{urlsplit(url).hostname} answered {answer.status_code}")


def _mail(settings: AlertSettings, text: str, analysis: Analysis) -> None:
    mail = EmailMessage()
    mail["Subject"], _, body = text.partition("\n")
    mail["From"], mail["To"] = settings.mail_from, ", ".join(settings.mail_to.split())
    mail["Date"], mail["Message-ID"] = formatdate(), make_msgid()
    mail.set_content(body)
    page = settings.out / "report.html"
    if page.is_file():
        mail.add_attachment(page.read_bytes(), maintype="text", subtype="html", filename=page.name)
    server = urlsplit(settings.smtp)
    kind = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
    with kind(str(server.hostname), server.port or 0, timeout=TIMEOUT) as connection:
        if server.scheme == "smtp+starttls":
            connection.starttls()
        if server.username:
            connection.login(server.username, os.environ.get("COMMENTWISE_SMTP_PASSWORD", ""))
        connection.send_message(mail)


def _deliver(send: Callable[[], None]) -> str:
    """Attempt to send; return the reason of the last failure, empty after a success."""
    reason = ""
    for pause in PAUSES:
        time.sleep(pause)
        try:
            send()
        except (OSError, httpx.HTTPError, smtplib.SMTPException) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
        else:
            return ""
    return reason


def _log(folder: Path, line: dict[str, Any]) -> None:
    with (folder / "deliveries.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, ensure_ascii=False) + "\n")
