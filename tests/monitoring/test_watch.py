"""`commentwise watch` and `commentwise drift` on good, damaged and empty logs, and on those of another bundle."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from commentwise.errors import CommentwiseError
from commentwise.models.prediction_log import connect, prepare
from commentwise.monitoring.actions import alerts, retrain, watch
from commentwise.monitoring.actions.retrain import RetrainCommand
from commentwise.monitoring.report import page
from tests.monitoring.production import Production
from tests.monitoring.test_alerts import hook
from tests.tiny import write_tiny_bundle

Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def _run(main: Callable[[], None], *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        main()
        return capsys.readouterr().out

    return _run


def test_a_run_writes_the_report_and_sends_alerts(drifted: Production, run: Run, tmp_path: Path) -> None:
    with hook() as (url, received):
        printed = run(watch.main, *drifted.flags, "--out", str(tmp_path), "--webhook", url)
    assert printed.splitlines()[-2].startswith("watch: alert: Since ")
    assert printed.splitlines()[-1] == "watch: sent an alert by webhook"
    assert "liquidity" in received[0]["text"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "alerts.json",
        "commentwise.prom",
        "deliveries.jsonl",
        "report.html",
        "report.json",
    ]


def test_an_alert_can_end_the_command_with_an_error(drifted: Production, run: Run, tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match="the comments have changed: Since"):
        run(watch.main, *drifted.flags, "--out", str(tmp_path), "--fail-on-alert")


def test_usual_comments_are_not_an_alert(production: Production, run: Run) -> None:
    production.log(production.usual(160))
    assert "watch: none: The latest 150 comments resemble the reference" in run(watch.main, *production.flags)


def test_an_alert_starts_the_retraining_even_if_no_alert_could_be_sent(
    drifted: Production, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[RetrainCommand] = []
    monkeypatch.setattr(retrain, "retrain", lambda settings, _: started.append(settings))
    monkeypatch.setattr(alerts, "PAUSES", (0.0,))
    with hook(500) as (url, _), pytest.raises(CommentwiseError, match="not delivered"):
        run(watch.main, *drifted.flags, "--out", str(tmp_path), "--webhook", url, "--retrain")
    (settings,) = started
    assert (settings.prediction_log, settings.reference) == (drifted.url, drifted.reference)
    assert settings.why.startswith("Since ")


def test_a_failed_run_does_not_end_the_watch(
    production: Production, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log is missing in the first run and exists in the second."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt
        production.log(production.usual(60))

    monkeypatch.setattr("time.sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        run(watch.main, *production.flags, "--every", "60")
    captured = capsys.readouterr()
    assert "error: there is no prediction log" in captured.err
    assert "watch: none" in captured.out
    assert all(0 < seconds <= 60 for seconds in pauses)


def test_an_unexpected_error_keeps_its_traceback_and_does_not_end_the_watch(
    production: Production, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("a bug")

    def pause(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch, "analyse", fail)
    monkeypatch.setattr("time.sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        run(watch.main, *production.flags, "--every", "60")
    assert "RuntimeError: a bug" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a bug"):
        run(watch.main, *production.flags)


def test_too_few_comments_are_an_error(production: Production, run: Run) -> None:
    production.log(production.usual(49))
    with pytest.raises(CommentwiseError, match="holds 49 distinct comments of this bundle, fewer than a window of 50"):
        run(watch.main, *production.flags)


def test_a_repeated_comment_counts_once(production: Production, run: Run) -> None:
    production.log(production.usual(30) * 5)
    with pytest.raises(CommentwiseError, match="holds 30 distinct comments"):
        run(watch.main, *production.flags)


def test_an_empty_log_is_an_error(production: Production, run: Run) -> None:
    engine = connect(production.url)
    prepare(engine)
    engine.dispose()
    with pytest.raises(CommentwiseError, match="no predictions yet"):
        run(watch.main, *production.flags)


def test_a_file_that_is_not_a_database_is_an_error(production: Production, run: Run) -> None:
    Path(production.url.removeprefix("sqlite:///")).write_text("not a database, but long enough to be read as one" * 9)
    with pytest.raises(CommentwiseError, match="file is not a database"):
        run(watch.main, *production.flags)


def test_the_reference_of_another_bundle_is_refused(production: Production, run: Run, tmp_path: Path) -> None:
    production.log(production.usual(100))
    other = tmp_path / "other"
    other.mkdir()
    write_tiny_bundle(other, strength=3.0)
    tiny, production.bundle = production.bundle, other
    production.log(production.usual(1))
    production.bundle = tiny
    with pytest.raises(CommentwiseError, match="create the reference of the bundle in production"):
        run(watch.main, *production.flags)


def test_without_the_bundle_embeddings_are_left_out_with_a_message(
    drifted: Production, run: Run, tmp_path: Path
) -> None:
    printed = run(watch.main, *drifted.flags, "--bundle", str(tmp_path), "--out", str(tmp_path))
    assert "embeddings are left out" in printed
    window = json.loads((tmp_path / "report.json").read_text())["windows"][-1]
    assert ("embedding" in window["signals"], "domain" in window["signals"]) == (False, True)


def test_drift_is_detected_without_texts(production: Production, run: Run) -> None:
    production.log([*production.usual(100), *production.different(100)], keep_text=False)
    assert "comments are longer" in run(watch.main, *production.flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--window", "7"], "--window (or COMMENTWISE_WINDOW) is '7'"),
        (["--webhook", "hooks.slack.com/secret"], "--webhook is not a URL"),
        (["--smtp", "mail.example.org", "--mail-to", "a@b"], "is not a mail server"),
        (["--smtp", "smtp://host:port", "--mail-to", "a@b"], "is not a mail server"),
        (["--smtp", "smtp://host"], "needs --mail-to"),
        (["--prediction-log", "nowhere"], "is no URL"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_invalid_flags_are_named(flags: list[str], message: str, drifted: Production, run: Run, tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError) as refused:
        run(watch.main, *drifted.flags, "--out", str(tmp_path), *flags)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_damaged_alert_state_causes_a_repeated_message_rather_than_none(
    drifted: Production, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "alerts.json").write_text('{"webhook": ')
    with hook() as (url, received):
        run(watch.main, *drifted.flags, "--out", str(tmp_path), "--webhook", url)
    assert len(received) == 1


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"bundle_id": "x"}'])
def test_a_damaged_reference_is_an_error(content: str, production: Production, run: Run) -> None:
    production.log(production.usual(60))
    production.reference.write_text(content)
    with pytest.raises(CommentwiseError, match=r"reference.json is not a reference .*`commentwise reference`"):
        run(watch.main, *production.flags)


def test_the_drift_report_prints_a_line_per_window_and_the_summary(
    drifted: Production, run: Run, tmp_path: Path
) -> None:
    lines = run(page.main, *drifted.flags, "--out", str(tmp_path)).splitlines()[-6:]
    assert ["resembles the reference" in line for line in lines] == [True] * 3 + [False] * 3
    assert "alert  " in lines[4]
    assert "comments are longer" in lines[4]
    assert lines[5].startswith("drift: alert: Since ")
    assert lines[5].endswith("report.html")
