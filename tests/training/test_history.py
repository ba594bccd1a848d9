"""Which version was champion at some time, from a real MLflow store, and what the history of versions shows."""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from mlflow.tracking import MlflowClient

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import bundle_id
from commentwise.models.prediction_log import connect, insert_predictions, predictions, prepare
from commentwise.training.registry import aliases, history, lineage, publish
from commentwise.training.registry import versions as registry
from commentwise.training.registry.dates import point_in_time
from commentwise.training.registry.rollback import roll_back
from tests.training.test_publish import MODEL, PROJECT, client, make_bundle, store

__all__ = ["client", "store"]  # fixtures
SATURDAY = datetime(2026, 11, 28, 9, 30, tzinfo=UTC)
DAY = 86_400


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Jane Doe")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "jane@example.org")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def past(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> history.History:
    """Version 1 on the 20th, 2 beats it on the 23rd, 3 does not on the 24th, back to 1 on the 26th; twice each."""
    published = {1: day(20), 2: day(23), 3: day(24)}

    def publish_on(number: int, strength: float) -> None:
        monkeypatch.setattr(aliases, "now", lambda: published[number])
        make_bundle(number, strength)
        publish.main()
        publish.main()

    publish_on(1, -6.0)
    publish_on(2, 6.0)
    publish_on(3, 6.0)
    monkeypatch.setattr(aliases, "now", lambda: day(26))
    roll_back(client, MODEL, "1", "complaints")
    roll_back(client, MODEL, "1", "complaints")
    return dated(published)


def dated(published: dict[int, datetime]) -> history.History:
    """The history as if MLflow had created the versions at these times."""
    found = history.read_history(PROJECT, None)
    versions = [replace(record, published=published[record.version]) for record in found.versions]
    return replace(found, versions=versions)


def day(number: int, hour: int = 12) -> datetime:
    return datetime(2026, 11, number, hour, tzinfo=UTC)


def champions(past: history.History, *moments: datetime) -> list[list[int | None]]:
    spans = [history.champion_at(past, moment) for moment in moments]
    return [aliases.champions_at(span, past.published, moment) for span, moment in zip(spans, moments, strict=True)]


def shown_at(past: history.History, moment: datetime) -> str:
    return history.answer(past, history.champion_at(past, moment), moment)


def test_the_champion_of_any_time_is_known(past: history.History) -> None:
    assert champions(past, day(21), day(23, 11), day(23, 13), day(25), day(26, 13)) == [[1], [1], [2], [2], [1]]
    assert shown_at(past, day(21)).splitlines() == [
        "at 2026-11-21 13:00 CET (UTC+01:00) the champion of 'commentwise' was version 1",
        "from 2026-11-20 13:00 to 2026-11-23 13:00",
        "set by Jane Doe: it is the first",
    ]
    assert "instead of 2: complaints" in shown_at(past, day(27))
    with pytest.raises(CommentwiseError, match=r"--at 2026-11-19 13:00 CET \(UTC\+01:00\) is before version 1"):
        history.champion_at(past, day(19))


def test_repeating_a_command_records_nothing(past: history.History) -> None:
    assert [(change.alias, change.version, change.before) for change in past.changes] == [
        ("champion", 1, None),
        ("champion", 2, 1),
        ("challenger", 3, None),
        ("champion", 1, 2),
    ]


def test_a_change_by_other_means_makes_the_answer_uncertain(past: history.History, client: MlflowClient) -> None:
    client.set_registered_model_alias(MODEL, registry.CHAMPION, "3")
    changed = replace(past, champion=3)
    assert champions(changed, day(25), day(27)) == [[2], [1, 3]]
    assert "version 1 or version 3, the change is not recorded" in shown_at(changed, day(27))


def test_versions_from_before_the_record_are_said_to_be_unknown(
    past: history.History, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = replace(past, changes=[])
    assert champions(old, day(21), day(25)) == [[1], [2, 3, 1]]
    assert "changes were not recorded yet, version 1 has it now" in shown_at(old, day(25))
    for change in past.changes:
        client.delete_registered_model_tag(MODEL, f"{aliases.CHANGE_TAG}{change.time.strftime(aliases.TIME)}")
    monkeypatch.setattr(aliases, "now", lambda: day(27))
    roll_back(client, MODEL, "2", "better after all")
    upgraded = dated(past.published)
    assert champions(upgraded, day(25), day(27, 13)) == [[2, 3, 1], [2]]


def test_the_history_fits_80_columns_and_shows_where_versions_were_served(
    past: history.History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "sqlite:///predictions.db"
    log_answers(url, bundle_id(PROJECT.bundle), 3)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["commentwise history", "--log", url])
    history.main()
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    for text in (
        "commentwise: 3 versions, champion: version 1. Times: CET (UTC+01:00)",
        "by Jane Doe",
        "a file -> raw comments r -> split p",
        "logreg: it is the best",
        "macro-F1 0.500 (0.400 to",
        "champion from 2026-11-20 13:00 to 2026-11-23 13:00",
        "challenger from 2026-11-24 13:00",
        "3 answers, 2026-11-25 01:00 to 2026-11-27 01:00",
        "svm",
    ):
        assert text in printed
    monkeypatch.setattr(sys, "argv", ["commentwise history", "--json"])
    history.main()
    facts = json.loads(capsys.readouterr().out)
    assert facts["versions"][0]["author"] == "Jane Doe <jane@example.org>"
    assert facts["versions"][2]["test"]["macro_f1"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert {each["name"] for each in facts["experiments"]} == {"logreg", "svm", "bert"}
    assert {each["author"] for each in facts["experiments"]} == {"Jane Doe <jane@example.org>"}
    assert facts["champions"][-1]["since"] == "2026-11-26T12:00:00+00:00"


def test_a_lineage_fits_one_screen_unless_it_is_asked_for_in_full(
    past: history.History, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["commentwise lineage", "champion"])
    lineage.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    printed = "\n".join(lines)
    for text in (
        "by Jane Doe",
        "a file -> raw",
        "commit c0ffee",
        "fp32.onnx",
        "champion from 2026-11-26 13:00 until now",
    ):
        assert text in printed
    monkeypatch.setattr(sys, "argv", ["commentwise lineage", "champion", "--full"])
    lineage.main()
    full = yaml.safe_load(capsys.readouterr().out)
    assert full["params"] == {"seed": 1}
    assert full["author"] == "Jane Doe <jane@example.org>"
    assert set(full["files"]) == {"fp32.onnx", "golden.json", "tokenizer.json"}


def log_answers(url: str, bundle: str, answers: int) -> None:
    engine = connect(url)
    prepare(engine)
    blank = {column.name: column.type.python_type() for column in predictions.columns if column.name != "text"}
    rows = [
        blank
        | {"id": str(number), "probabilities": [], "bundle_id": bundle, "time": day(25, 0).timestamp() + number * DAY}
        for number in range(answers)
    ]
    with engine.begin() as connection:
        insert_predictions(connection, rows)
    engine.dispose()


def test_nothing_published_is_an_error_with_the_way_out(client: MlflowClient) -> None:
    with pytest.raises(CommentwiseError, match=r"neither a version of 'commentwise' nor an experiment: run"):
        history.read_history(PROJECT, None)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-24", "2026-11-24T23:59:59+01:00"),
        ("2026-11-24 15:00", "2026-11-24T15:00:00+01:00"),
        ("2026-11-24T15:00Z", "2026-11-24T16:00:00+01:00"),
        ("2026-07-01", "2026-07-01T23:59:59+02:00"),
        ("last tuesday", "2026-11-24T23:59:59+01:00"),
        ("yesterday at 9am", "2026-11-27T09:00:00+01:00"),
        ("2 weeks ago", "2026-11-14T23:59:59+01:00"),
        ("today", "2026-11-28T10:30:00+01:00"),
    ],
)
def test_dates_and_words_are_understood(text: str, meant: str) -> None:
    assert point_in_time(text, SATURDAY).isoformat() == meant


@pytest.mark.parametrize(
    ("text", "reason"),
    [("some day", "is no date that is understood: write"), ("2026-11-29", "in the future"), ("", "is no date")],
)
def test_a_date_that_cannot_be_answered_is_an_error(text: str, reason: str) -> None:
    with pytest.raises(CommentwiseError, match=reason):
        point_in_time(text, SATURDAY)
