"""Looking once and again, through the command line, at logs that are fine, damaged, empty or somebody else's."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from commentwise.errors import CommentwiseError
from commentwise.models.prediction_log import connect, prepare
from commentwise.monitoring.actions import watch
from commentwise.monitoring.signals import drift
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


def test_a_look_writes_the_report_and_tells_people(drifted: Production, run: Run, tmp_path: Path) -> None:
    with hook() as (url, received):
        printed = run(watch.main, *drifted.flags, "--out", str(tmp_path), "--webhook", url)
    assert printed.splitlines()[-2].startswith("watch: alert: Since ")
    assert printed.splitlines()[-1] == "watch: told by webhook"
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


def test_comments_as_usual_are_no_alert(production: Production, run: Run) -> None:
    production.log(production.usual(160))
    assert "watch: none: The latest 150 comments are like the reference" in run(watch.main, *production.flags)


def test_an_alert_starts_the_retraining_even_where_nobody_could_be_told(
    drifted: Production, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(watch, "run", lambda *arguments, **variables: started.append((arguments, variables)))
    monkeypatch.setattr("commentwise.monitoring.actions.alerts.PAUSES", (0.0,))
    with hook(500) as (url, _), pytest.raises(CommentwiseError, match="not delivered"):
        run(watch.main, *drifted.flags, "--out", str(tmp_path), "--webhook", url, "--retrain")
    ((arguments, variables),) = started
    assert arguments[:3] == ("commentwise.monitoring.actions.retrain", "--reference", str(drifted.reference))
    assert variables == {"COMMENTWISE_PREDICTION_LOG": drifted.url}


def test_watching_goes_on_after_what_goes_wrong(
    production: Production, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log comes after the first look, and the second finds it."""
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


def test_too_few_comments_are_said_so(production: Production, run: Run) -> None:
    production.log(production.usual(49))
    with pytest.raises(CommentwiseError, match="fewer than 50 different comments"):
        run(watch.main, *production.flags)
    assert "nothing to say yet" in run(drift.main, *production.flags)


def test_a_comment_that_comes_again_counts_once(production: Production, run: Run) -> None:
    production.log(production.usual(30) * 5)
    with pytest.raises(CommentwiseError, match="fewer than 50 different comments"):
        run(watch.main, *production.flags)


def test_an_empty_log_is_said_so(production: Production, run: Run) -> None:
    engine = connect(production.url)
    prepare(engine)
    engine.dispose()
    with pytest.raises(CommentwiseError, match="no predictions yet"):
        run(watch.main, *production.flags)


def test_a_file_that_is_no_database_is_said_so(production: Production, run: Run) -> None:
    Path(production.url.removeprefix("sqlite:///")).write_text("no database, but long enough to be taken for one" * 9)
    with pytest.raises(CommentwiseError, match="file is not a database"):
        run(watch.main, *production.flags)


def test_when_another_bundle_answers_the_old_reference_is_refused(
    production: Production, run: Run, tmp_path: Path
) -> None:
    production.log(production.usual(100))
    other = tmp_path / "other"
    other.mkdir()
    write_tiny_bundle(other, strength=3.0)
    production.bundle = other
    production.log(production.usual(1))
    with pytest.raises(CommentwiseError, match="make the reference of the bundle that answers now"):
        run(watch.main, *production.flags)


def test_without_the_bundle_embeddings_are_left_out_and_that_is_said(
    drifted: Production, run: Run, tmp_path: Path
) -> None:
    printed = run(watch.main, *drifted.flags, "--bundle", str(tmp_path), "--out", str(tmp_path))
    assert "embeddings are left out" in printed
    window = json.loads((tmp_path / "report.json").read_text())["windows"][-1]
    assert ("embedding" in window["signals"], "domain" in window["signals"]) == (False, True)


def test_without_texts_the_figures_alone_notice(production: Production, run: Run) -> None:
    production.log([*production.usual(100), *production.strange(100)], keep_text=False)
    assert "comments are longer" in run(watch.main, *production.flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--window", "7"], "--window (or COMMENTWISE_WINDOW) is '7'"),
        (["--webhook", "hooks.slack.com/secret"], "--webhook is no URL"),
        (["--smtp", "mail.example.org", "--mail-to", "a@b"], "is no mail server"),
        (["--smtp", "smtp://host:port", "--mail-to", "a@b"], "is no mail server"),
        (["--smtp", "smtp://host"], "wants --mail-to"),
        (["--prediction-log", "nowhere"], "is no URL"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_unfit_flags_are_named(flags: list[str], message: str, drifted: Production, run: Run, tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError) as refused:
        run(watch.main, *drifted.flags, "--out", str(tmp_path), *flags)
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_damaged_note_of_what_was_told_costs_a_second_message_and_no_silence(
    drifted: Production, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "alerts.json").write_text('{"webhook": ')
    with hook() as (url, received):
        run(watch.main, *drifted.flags, "--out", str(tmp_path), "--webhook", url)
    assert len(received) == 1


@pytest.mark.parametrize("content", ["{", "{}", "[]", '{"bundle_id": "x"}'])
def test_a_damaged_reference_is_said_so(content: str, production: Production, run: Run) -> None:
    production.log(production.usual(60))
    production.reference.write_text(content)
    with pytest.raises(
        CommentwiseError, match=r"reference.json is no reference .*python -m commentwise.monitoring.signals.reference"
    ):
        run(watch.main, *production.flags)
