"""The prediction log in real databases: the rows that a running server writes, and those left after a failure."""

import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import select, text

from commentwise.comments.traits import text_hash, traits_of
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import bundle_id
from commentwise.models.prediction_log import connect, insert_predictions, predictions, prepare
from commentwise.monitoring.signals.rows import TRAITS
from commentwise.serving.log.recorder import check
from commentwise.serving.settings import read_settings
from tests.monitoring.postgres import Postgres, needs_postgres, postgres
from tests.serving.process import PATIENCE, Server, end, spawn, started
from tests.serving.test_faults import figure
from tests.waiting import until

WRITTEN = 'commentwise_prediction_log_rows_total{outcome="written"}'
DROPPED = 'commentwise_prediction_log_rows_total{outcome="dropped"}'


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'predictions.db'}"
    database: Postgres = request.getfixturevalue("database")
    engine = connect(database.url)
    with engine.begin() as connection:
        for table in ("predictions", "feedback", "commentwise_schema"):
            connection.execute(text(f"drop table if exists {table}"))
    engine.dispose()
    return database.url


def rows(url: str) -> list[dict[str, Any]]:
    engine = connect(url)
    with engine.begin() as connection:
        found = [dict(row) for row in connection.execute(select(predictions).order_by(predictions.c.time)).mappings()]
    engine.dispose()
    return found


def analyze(server: Server, **body: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/analyze", json=body, timeout=PATIENCE, trust_env=False)


def writer(server: Server) -> psutil.Process:
    (found,) = (process for process in server.processes() if "commentwise.serving.log.writer" in process.cmdline())
    return found


def until_written(server: Server, rows: float) -> None:
    until(lambda: figure(server, WRITTEN) >= rows)


def until_answered(statuses: list[int], requests: int) -> None:
    until(lambda: len(statuses) >= requests)


def test_each_answer_is_a_row_without_its_text(url: str, tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", url) as server:
        answer = analyze(server, texts=["a good video", "", "bad WTF video", "a " * 100])
        until(lambda: figure(server, WRITTEN) == 3)
        found = sorted(rows(url), key=lambda row: row["position"])
    assert [row["position"] for row in found] == [0, 2, 3]
    assert {row["request_id"] for row in found} == {answer.headers["x-request-id"]}
    assert {row["bundle_id"] for row in found} == {bundle_id(tiny_bundle)}
    assert [row["label"] for row in found] == ["positive", "negative", "neutral"]
    assert [row["text"] for row in found] == [None] * 3
    assert found[0]["text_hash"] == text_hash("a good video")
    assert found[0]["probabilities"] == pytest.approx(answer.json()["results"][0]["probabilities"], abs=1e-6)
    assert [row["tokens"] for row in found] == [5, 5, 32]
    assert [row["unknown_share"] for row in found] == pytest.approx([0, 1 / 3, 0])
    assert [row["truncated"] for row in found] == [False, False, True]
    assert abs(found[0]["time"] - time.time()) < PATIENCE


def test_every_row_has_a_language_whichever_format_answered(url: str, tiny_bundle: Path, tmp_path: Path) -> None:
    """Those of /analyze have it in the answer; the log writer tells that of the others."""
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", url) as server:
        analyze(server, texts=["すごい", "😀"])
        httpx.post(f"{server.url}/predict", json={"inputs": ["좋아요"]}, timeout=PATIENCE, trust_env=False)
        until(lambda: figure(server, WRITTEN) == 3)
    assert {row["language"] for row in rows(url)} == {"ja", "und", "ko"}


def test_texts_are_logged_on_request(url: str, tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", url, "--log-text") as server:
        analyze(server, text="a  GOOD vídeo &amp; 🔥")
        until(lambda: figure(server, WRITTEN) == 1)
    (row,) = rows(url)
    assert row["text"] == "a GOOD vídeo & 🔥"
    assert (row["latin_share"], row["emoji_share"]) == pytest.approx((1.0, 1 / len(row["text"])))


def test_the_buffer_is_written_when_the_server_stops(url: str, tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", url) as server:
        for _ in range(20):
            analyze(server, text="good")
        end(server.process)
    assert len(rows(url)) == 20


def test_a_killed_server_loses_only_the_last_half_second(url: str, tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", url) as server:
        for _ in range(20):
            analyze(server, text="good")
        until(lambda: figure(server, WRITTEN) == 20)
        analyze(server, text="bad")
        logger = writer(server)
        server.http_process().kill()
        server.process.wait(PATIENCE)
        # It ends by itself; without an init process that reaps it, it stays a zombie.
        until(lambda: not logger.is_running() or logger.status() == psutil.STATUS_ZOMBIE)
    assert len(rows(url)) in (20, 21)


@pytest.mark.slow
def test_a_killed_writer_loses_and_repeats_no_row(url: str, tiny_bundle: Path, tmp_path: Path) -> None:
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", url) as server:
        analyze(server, text="good")
        until(lambda: figure(server, WRITTEN) == 1)
        for number in range(3):
            writer(server).kill()
            for _ in range(10):
                assert analyze(server, text="good").status_code == 200
            until_written(server, 10 * number + 11)
    assert len(rows(url)) == 31


@needs_postgres
@pytest.mark.slow
def test_a_database_that_stops_and_starts_under_load_costs_no_request_and_no_row(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    with (
        postgres() as database,
        started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", database.url) as server,
    ):
        statuses: list[int] = []
        ended = threading.Event()

        def load() -> None:
            with httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
                while not ended.wait(0.02):
                    statuses.append(client.post("/analyze", json={"text": "good"}).status_code)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            until_written(server, figure(server, WRITTEN) + 20)
            database.stop()
            until_answered(statuses, len(statuses) + 100)
            database.start()
        ended.set()
        for thread in threads:
            thread.join()
        assert set(statuses) == {200}
        until(lambda: figure(server, WRITTEN) == len(statuses))
        assert figure(server, DROPPED) == 0
        assert len(rows(database.url)) == len(statuses)


@pytest.mark.slow
def test_an_unreachable_database_fails_no_request_and_does_not_delay_the_shutdown(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    with started(tmp_path, "--model", str(tiny_bundle), "--prediction-log", nowhere) as server:
        assert {analyze(server, texts=["good"] * 256).status_code for _ in range(45)} == {200}
        assert figure(server, DROPPED) >= 45 * 256 - 10_000
        until(lambda: "prediction log away" in server.log.read_text())
        children = server.processes()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE) == 0
    assert '"rows": 10000, "reason": "the server was stopped"' in server.log.read_text()
    assert psutil.wait_procs(children, timeout=PATIENCE)[1] == []


@pytest.mark.slow
def test_the_password_is_neither_in_the_command_line_nor_in_the_log(tiny_bundle: Path, tmp_path: Path) -> None:
    nowhere = "postgresql+psycopg://nobody:secret@127.0.0.1:1/none"
    variables = {"COMMENTWISE_PREDICTION_LOG": nowhere}
    with started(tmp_path, "--model", str(tiny_bundle), **variables) as server:
        analyze(server, text="good")
        until(lambda: "prediction log away" in server.log.read_text())
        assert not any("secret" in part for process in server.processes() for part in process.cmdline())
    assert "secret" not in server.log.read_text()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://me:secret@host/log", "neither sqlite:///FILE nor postgresql"),
        ("predictions.db", "is no URL"),
        ("postgresql+nosuch://me:secret@host/log", "needs a driver"),
    ],
)
def test_an_invalid_url_is_refused_without_its_password(url: str, message: str) -> None:
    with pytest.raises(CommentwiseError, match=message) as refused:
        check(url)
    assert "secret" not in str(refused.value)


def test_an_invalid_url_stops_the_server_with_one_line(tiny_bundle: Path, tmp_path: Path) -> None:
    done = spawn(tmp_path, "--model", str(tiny_bundle), "--prediction-log", "predictions.db")
    assert done.wait(PATIENCE) == 1
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "is no URL: write sqlite:///FILE" in line


def test_a_log_of_a_later_version_is_refused(url: str) -> None:
    engine = connect(url)
    prepare(engine)
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(text("update commentwise_schema set version = 9"))
    with pytest.raises(CommentwiseError, match="has version 9 and this program knows 2"):
        prepare(engine)
    engine.dispose()


def test_a_log_of_version_1_is_upgraded_and_keeps_its_rows(url: str) -> None:
    traits = dict.fromkeys(TRAITS, 0.5) | {"tokens": 5}
    answer = {"label": "good", "probabilities": {"good": 1.0}, "truncated": False, "seconds": 0.1}
    names = {"id": "1" * 32, "request_id": "r", "position": 0, "bundle_id": "b", "text_hash": "h"}
    row = {**names, **traits, **answer, "time": 1.0}
    engine = connect(url)
    prepare(engine)
    with engine.begin() as connection:
        connection.execute(text("alter table predictions drop column language"))
        connection.execute(text("update commentwise_schema set version = 1"))
        connection.execute(predictions.insert().values(row))
    with ThreadPoolExecutor(4) as programs:  # of which several may start at once
        list(programs.map(lambda _: prepare(engine), range(4)))
    with engine.begin() as connection:
        insert_predictions(connection, [row | {"id": "2" * 32, "time": 2.0, "language": "de"}])
    engine.dispose()
    assert [(found["id"][0], found["language"], found["tokens"]) for found in rows(url)] == [
        ("1", None, 5),
        ("2", "de", 5),
    ]


def test_the_log_is_off_by_default() -> None:
    assert (read_settings([]).prediction_log, read_settings([]).log_text) == ("", False)


def test_traits_of_plain_and_unusual_text() -> None:
    plain = traits_of("a good video", [2, 10, 7, 11, 3], [None, 0, 1, 2, None], 1)
    unusual = traits_of("кино 🔥 wagmi", [2, 1, 1, 20, 21, 3], [None, 0, 1, 2, 2, None], 1)
    assert (plain.tokens, plain.unknown_share, plain.split_share, plain.latin_share, plain.emoji_share) == (
        5,
        0,
        0,
        1,
        0,
    )
    assert unusual.unknown_share == 0.5
    assert unusual.split_share == pytest.approx(1 / 3)
    assert unusual.latin_share == pytest.approx(5 / 9)
    assert unusual.emoji_share == pytest.approx(1 / 12)
