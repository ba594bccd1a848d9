"""`commentwise collect` against a local stand-in for the YouTube API: pages, interruptions, retries, errors."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest

from commentwise.errors import CommentwiseError
from commentwise.training.data.collect import collect, collect_video, video_id
from commentwise.training.data.youtube import MAX_ATTEMPTS, ApiError, open_client
from tests.training.youtube_api import KEY, Answer, YouTubeApi, limit_per_day, refusal, wrong_key

VIDEO = "dQw4w9WgXcQ"
OTHER = "-_abcDEF012"
ROOT = Path(__file__).parents[2]
ALL = sys.maxsize
THREADS = {
    "top-1": ("Großartig 🎉\nzwei Zeilen", []),
    "top-2": ("three replies, one in the thread's own page", ["a", "b", "c"]),
    "top-3": ("one reply, in the thread's own page", ["d"]),
    "top-4": ("two replies", ["e", "f"]),
    "top-5": ('said "no"', []),
}
IDS = ["top-1", "top-2", "top-2.0", "top-2.1", "top-2.2", "top-3", "top-3.0", "top-4", "top-4.0", "top-4.1", "top-5"]
# Three pages of threads, two of replies to top-2, one of replies to top-4.
REQUESTS = 6


@pytest.fixture
def api(tmp_path: Path) -> Iterator[YouTubeApi]:
    with YouTubeApi() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        server.threads = {VIDEO: dict(THREADS), OTHER: {"other-1": ("hello", [])}}
        yield server
        server.released.set()
        server.shutdown()
    assert not [path for path in server.requests if KEY in path]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY in path.read_text(errors="replace")]


@pytest.fixture
def client(api: YouTubeApi) -> Iterator[httpx.Client]:
    # Without certificates, because loading them is slow. The tests that run the command use `open_client`.
    with httpx.Client(base_url=api.url, headers={"X-Goog-Api-Key": KEY}, verify=False, trust_env=False) as client:
        yield client


def start(api: YouTubeApi, out: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "commentwise.training.data.collect", f"--out={out}", *arguments]
    environment = {"PATH": os.environ["PATH"], "YOUTUBE_API_KEY": KEY, "YOUTUBE_API_URL": api.url, **variables}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=60)
    assert KEY not in stdout + stderr
    assert "Traceback" not in stderr
    return process.returncode, stdout, stderr


def run(api: YouTubeApi, out: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    return finish(start(api, out, *arguments, **variables))


def ids(out: Path, video: str = VIDEO) -> list[str]:
    lines = (out / f"{video}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["comment_id"] for line in lines]


def names(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


def no_wait(delay: float) -> None:
    pytest.fail(f"waits {delay} s")


def test_collects_all_pages_and_replies_in_the_order_of_the_api(api: YouTubeApi, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    code, stdout, stderr = run(api, tmp_path, f"https://www.youtube.com/watch?v={VIDEO}", "--", OTHER)

    assert (code, stderr) == (0, "")
    assert stdout.splitlines() == [
        f"{VIDEO}: 11 comments in {tmp_path}/{VIDEO}.jsonl",
        f"{OTHER}: 1 comments in {tmp_path}/{OTHER}.jsonl",
    ]
    assert names(tmp_path) == sorted([f"{VIDEO}.jsonl", f"{OTHER}.jsonl"])
    lines = (tmp_path / f"{VIDEO}.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    fetched = datetime.fromisoformat(first.pop("fetched_at"))
    assert before <= fetched <= datetime.now(UTC)
    assert first == {
        "comment_id": "top-1",
        "video_id": VIDEO,
        "published_at": "2026-03-01T12:00:00Z",
        "text": "Großartig 🎉\nzwei Zeilen",
        "label": None,
        "parent_id": None,
        "like_count": 23,
    }
    assert "Großartig 🎉" in lines[0]
    assert ids(tmp_path) == IDS
    assert [json.loads(line)["text"] for line in lines[2:5]] == ["a", "b", "c"]
    assert len(api.requests) == REQUESTS + 1
    assert api.keys == {KEY}


def rows(out: Path, video: str = VIDEO) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / f"{video}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_replies_name_their_parent_however_they_are_read(client: httpx.Client, tmp_path: Path) -> None:
    collect_video(client, VIDEO, tmp_path, ALL)
    for row in rows(tmp_path):
        parent, _, reply = str(row["comment_id"]).partition(".")
        assert row["parent_id"] == (parent if reply else None)


def test_authors_are_kept_only_as_hashes_with_a_salt(client: httpx.Client, tmp_path: Path) -> None:
    authors = {}
    for salt in ("", "a secret of many characters", "another secret, also long"):
        out = tmp_path / (salt or "none")
        out.mkdir()
        for video in (VIDEO, OTHER):
            collect_video(client, video, out, ALL, salt=salt)
        text = (out / f"{VIDEO}.jsonl").read_text(encoding="utf-8")
        assert "UC-author" not in text
        assert "@someone" not in text
        authors[salt] = {str(row["text"]): row.get("author", "left out") for row in [*rows(out), *rows(out, OTHER)]}
    none, one, other = authors.values()
    assert set(none.values()) == {"left out"}
    assert one["hello"] is None  # the author has no channel any more
    assert len(set(one.values()) | set(other.values())) == 2 * len(set(one.values())) - 1
    assert re.fullmatch("[0-9a-f]{32}", str(one["a"]))


def test_a_short_salt_is_refused(api: YouTubeApi, tmp_path: Path) -> None:
    code, _, stderr = run(api, tmp_path, VIDEO, COMMENTWISE_AUTHOR_SALT="pepper")
    assert code == 1
    assert stderr.startswith("error: COMMENTWISE_AUTHOR_SALT has 6 characters: give a secret of 16 or more")
    assert "pepper" not in stderr


def test_a_complete_video_is_not_fetched_again(api: YouTubeApi, tmp_path: Path) -> None:
    (tmp_path / f"{VIDEO}.jsonl").write_text("{}\n{}\n")

    code, stdout, _ = run(api, tmp_path, VIDEO, VIDEO)

    assert code == 0
    assert stdout == f"{VIDEO}: already collected: 2 comments; delete {tmp_path}/{VIDEO}.jsonl to collect it again\n"
    assert api.requests == []


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_an_interrupted_run_resumes_after_the_last_complete_page(
    api: YouTubeApi, tmp_path: Path, stop: signal.Signals, code: int
) -> None:
    api.held = {3}
    process = start(api, tmp_path, VIDEO)
    api.wait_for(requests=3)
    process.send_signal(stop)
    assert finish(process)[0] == code
    assert not (tmp_path / f"{VIDEO}.jsonl").exists()
    api.released.set()

    code, _, stderr = run(api, tmp_path, VIDEO)

    assert code == 0
    assert "resuming after 4 comments" in stderr
    assert ids(tmp_path) == IDS
    assert names(tmp_path) == [f"{VIDEO}.jsonl"]
    assert len(api.requests) == REQUESTS + 1
    assert api.requests[2] == api.requests[3]


def test_a_used_up_quota_keeps_complete_pages_and_the_same_command_resumes(api: YouTubeApi, tmp_path: Path) -> None:
    api.instead[5] = refusal("quotaExceeded")

    code, stdout, stderr = run(api, tmp_path, VIDEO, "--", OTHER)

    assert (code, stdout) == (1, "")
    assert len(stderr.splitlines()) == 1
    assert f"8 comments of {VIDEO} and all complete videos are saved in {tmp_path}" in stderr
    assert "midnight Pacific time" in stderr
    assert "the same command resumes" in stderr
    assert "<" not in stderr
    assert len(api.requests) == 5

    code, _, _ = run(api, tmp_path, VIDEO, "--", OTHER)

    assert code == 0
    assert ids(tmp_path) == IDS
    assert ids(tmp_path, OTHER) == ["other-1"]
    assert len(api.requests) == REQUESTS + 1 + 1


def test_a_video_with_comments_disabled_does_not_stop_the_others(api: YouTubeApi, tmp_path: Path) -> None:
    api.instead[1] = refusal("commentsDisabled")

    code, stdout, stderr = run(api, tmp_path, "https://youtu.be/xxxxxxxxxxx?t=3", VIDEO, "--max-comments=4")

    assert code == 1
    assert stdout == f"{VIDEO}: 4 comments in {tmp_path}/{VIDEO}.jsonl\n"
    assert stderr.splitlines() == [
        "xxxxxxxxxxx: comments are disabled for this video: leave it out",
        f"error: not collected: xxxxxxxxxxx (see above); all other videos are in {tmp_path}",
    ]
    assert ids(tmp_path) == IDS[:4]


def test_a_wrong_key_ends_the_command_at_once(api: YouTubeApi, tmp_path: Path) -> None:
    code, stdout, stderr = run(api, tmp_path, VIDEO, "--", OTHER, YOUTUBE_API_KEY="another-secret")

    assert (code, stdout) == (1, "")
    assert len(stderr.splitlines()) == 1
    assert stderr.startswith(
        "error: YouTube refuses YOUTUBE_API_KEY (YouTube answered 400 badRequest API_KEY_INVALID: API key not valid."
    )
    assert "another-secret" not in stderr
    assert len(api.requests) == 1


def test_a_missing_key_is_an_error_before_any_file_is_written(api: YouTubeApi, tmp_path: Path) -> None:
    code, stdout, stderr = run(api, tmp_path / "out", VIDEO, YOUTUBE_API_KEY="")

    assert (code, stdout) == (1, "")
    assert stderr.startswith("error: YOUTUBE_API_KEY is not set: ")
    assert len(stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_key_in_the_servers_message_is_hidden(api: YouTubeApi, tmp_path: Path) -> None:
    api.instead[1] = wrong_key(f"API key {KEY}\nnot valid")

    _, _, stderr = run(api, tmp_path, VIDEO, YOUTUBE_API_KEY=f"{KEY}\n")

    assert "API key (key) not valid" in stderr  # `finish` checks that the key itself is not printed
    assert api.keys == {KEY}


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["--max-comments=0", VIDEO], {}, "--max-comments is '0': give a whole number of 1 or more"),
        (["short"], {}, "'short' is not a video"),
        ([VIDEO], {"YOUTUBE_API_URL": "youtube"}, "YOUTUBE_API_URL is 'youtube': give a URL such as https://"),
        ([VIDEO, f"--out={__file__}"], {}, f"cannot write {__file__} (File exists): give another --out"),
    ],
)
def test_a_bad_argument_is_one_line_with_its_value(
    api: YouTubeApi, tmp_path: Path, arguments: list[str], variables: dict[str, str], message: str
) -> None:
    code, stdout, stderr = run(api, tmp_path, *arguments, **variables)

    assert (code, stdout) == (1, "")
    assert stderr.startswith(f"error: {message}")
    assert len(stderr.splitlines()) == 1
    assert api.requests == []


@pytest.mark.parametrize("answer", [refusal("quotaExceeded"), refusal("dailyLimitExceeded"), limit_per_day()])
@pytest.mark.parametrize("stopped_at", range(1, REQUESTS + 1))
def test_no_complete_page_is_requested_again_wherever_the_quota_ends(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path, answer: Answer, stopped_at: int
) -> None:
    api.instead = dict.fromkeys([stopped_at, stopped_at + 1], answer)
    for _ in range(2):
        with pytest.raises(CommentwiseError, match="quota"):
            collect(client, [VIDEO], tmp_path, ALL, no_wait)
        # As after a kill in the middle of an append.
        with (tmp_path / f".{VIDEO}.partial.jsonl").open("a") as stream:
            stream.write('{"comment_id": "torn')

    collect(client, [VIDEO], tmp_path, ALL, no_wait)

    assert ids(tmp_path) == IDS
    assert len(api.requests) == REQUESTS + 2
    assert names(tmp_path) == [f"{VIDEO}.jsonl"]


def stop_at(api: YouTubeApi, client: httpx.Client, out: Path, request: int) -> None:
    api.instead[request] = refusal("quotaExceeded")
    with pytest.raises(CommentwiseError, match="quota"):
        collect_video(client, VIDEO, out, ALL, no_wait)


def test_an_expired_page_token_starts_the_video_over(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(api, client, tmp_path, request=6)
    api.age = 1
    # Request 7 sends the expired token. The quota ends once more two requests later.
    stop_at(api, client, tmp_path, request=9)

    assert "the saved page token has expired: starting over" in capsys.readouterr().err
    collect_video(client, VIDEO, tmp_path, ALL, no_wait)
    assert ids(tmp_path) == IDS


def test_a_page_token_refused_in_the_run_that_received_it_is_an_error(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path
) -> None:
    api.instead = dict.fromkeys(range(2, 99), refusal("invalidPageToken"))

    with pytest.raises(ApiError, match="invalidPageToken"):
        collect_video(client, VIDEO, tmp_path, ALL, no_wait)

    assert len(api.requests) == 2


@pytest.mark.parametrize("damage", ["state", "comments", "no comments"])
def test_damaged_progress_starts_the_video_over(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_at(api, client, tmp_path, request=5)
    partial = tmp_path / f".{VIDEO}.partial.jsonl"
    match damage:
        case "state":
            (tmp_path / f".{VIDEO}.state.json").write_text("")
        case "comments":
            partial.write_bytes(partial.read_bytes().splitlines(keepends=True)[0])
        case _:
            partial.unlink()

    collect_video(client, VIDEO, tmp_path, ALL, no_wait)

    assert "the saved progress is damaged: starting over" in capsys.readouterr().err
    assert ids(tmp_path) == IDS


@pytest.mark.parametrize("renamed", [False, True])
def test_a_run_killed_after_its_last_page_resumes_without_a_request(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renamed: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("commentwise.training.data.collect.PartialVideo.delete", lambda self: None)
        collect_video(client, VIDEO, tmp_path, ALL, no_wait)
    if not renamed:
        (tmp_path / f"{VIDEO}.jsonl").rename(tmp_path / f".{VIDEO}.partial.jsonl")

    collect_video(client, VIDEO, tmp_path, ALL, no_wait)

    assert len(api.requests) == REQUESTS
    assert ids(tmp_path) == IDS
    assert names(tmp_path) == [f"{VIDEO}.jsonl"]


def test_a_comment_on_two_pages_is_kept_once(api: YouTubeApi, client: httpx.Client, tmp_path: Path) -> None:
    stop_at(api, client, tmp_path, request=5)
    api.threads[VIDEO] = {"newest": ("pushes the others back by one", []), **THREADS}

    collect_video(client, VIDEO, tmp_path, ALL, no_wait)

    assert ids(tmp_path) == IDS


def test_a_thread_deleted_during_collection_has_no_more_replies(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path
) -> None:
    api.instead[3] = refusal("commentNotFound")

    collect_video(client, VIDEO, tmp_path, ALL, no_wait)

    assert ids(tmp_path) == [name for name in IDS if name != "top-2.2"]


def test_a_page_that_names_itself_as_the_next_page_is_the_last(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path
) -> None:
    looping = Answer(200, {"items": [], "nextPageToken": "0-2"})
    api.instead = dict.fromkeys(range(4, 99), looping)

    collect_video(client, VIDEO, tmp_path, ALL, no_wait)

    assert len(api.requests) == 4


@pytest.mark.parametrize("limit", range(1, len(IDS) + 2))
def test_max_comments_is_exact(api: YouTubeApi, client: httpx.Client, tmp_path: Path, limit: int) -> None:
    collect_video(client, VIDEO, tmp_path, limit, no_wait)

    assert ids(tmp_path) == IDS[:limit]
    assert names(tmp_path) == [f"{VIDEO}.jsonl"]


def test_max_comments_includes_those_of_an_earlier_run(api: YouTubeApi, client: httpx.Client, tmp_path: Path) -> None:
    stop_at(api, client, tmp_path, request=5)

    collect_video(client, VIDEO, tmp_path, 3, no_wait)

    assert ids(tmp_path) == IDS[:3]
    assert len(api.requests) == 5


def test_temporary_failures_are_retried_with_exponential_backoff(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path
) -> None:
    failures = [refusal("backendError"), refusal("rateLimitExceeded"), refusal("processingFailure")]
    failures += [Answer(429, "slow down"), Answer(502, "<html>"), Answer()]
    api.instead = dict(enumerate(failures, start=2))
    waits: list[float] = []

    collect_video(client, VIDEO, tmp_path, ALL, waits.append)

    assert ids(tmp_path) == IDS
    assert len(waits) == len(failures) == MAX_ATTEMPTS - 1
    assert all(2**attempt <= delay < 2**attempt + 1 for attempt, delay in enumerate(waits))
    assert any(delay != int(delay) for delay in waits)


def test_retry_after_is_honoured(api: YouTubeApi, client: httpx.Client, tmp_path: Path) -> None:
    moment = formatdate(time.time() + 40, usegmt=True)
    past = formatdate(time.time() - 40, usegmt=True)
    retry_after = ["17", moment, past, "soon"]
    api.instead = {
        number: refusal("backendError", Retry_After=value) for number, value in enumerate(retry_after, start=1)
    }
    waits: list[float] = []

    collect_video(client, VIDEO, tmp_path, ALL, waits.append)

    assert waits[0] == 17
    assert 30 < waits[1] <= 40
    assert 4 <= waits[2] < 5
    assert 8 <= waits[3] < 9


def test_a_very_long_retry_after_is_an_error(api: YouTubeApi, client: httpx.Client, tmp_path: Path) -> None:
    api.instead[1] = refusal("backendError", Retry_After="3600")

    with pytest.raises(ApiError, match=re.escape("Backend Error (Retry-After: 3600)")):
        collect_video(client, VIDEO, tmp_path, ALL, no_wait)


def test_attempts_are_limited_and_the_next_video_follows(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.instead = dict.fromkeys(range(1, MAX_ATTEMPTS + 1), refusal("backendError"))
    waits: list[float] = []

    with pytest.raises(CommentwiseError, match=f"not collected: {VIDEO} "):
        collect(client, [VIDEO, OTHER], tmp_path, ALL, waits.append)

    assert len(waits) == MAX_ATTEMPTS - 1
    assert f"{VIDEO}: YouTube answered 503 backendError: Backend Error\n" in capsys.readouterr().err
    assert ids(tmp_path, OTHER) == ["other-1"]


def test_an_unreachable_server_is_an_error_with_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("YOUTUBE_API_KEY", KEY)
    monkeypatch.setenv("YOUTUBE_API_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    waits: list[float] = []

    with (
        open_client() as client,
        pytest.raises(CommentwiseError, match=r"cannot reach 127\.0\.0\.1 .*refused.*the same command resumes"),
    ):
        collect(client, [VIDEO], tmp_path, ALL, waits.append)

    assert len(waits) == MAX_ATTEMPTS - 1


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refusal("commentsDisabled"), "comments are disabled for this video: leave it out"),
        (refusal("videoNotFound"), "no such video, or it is private: check the id"),
        (refusal("forbidden"), "an API key cannot read the comments of this video: leave it out"),
        (refusal("invalidParameter"), "YouTube answered 400 invalidParameter: Invalid value."),
        (Answer(200, "<html>log in</html>"), "YouTube answered 200 OK, not in the format of its API: check YOUTUBE_"),
        (Answer(200, {"unexpected": 1}), "YouTube answered 200 OK, not in the format of its API: check YOUTUBE_"),
        (Answer(404, {"error": "no"}), "YouTube answered 404 Not Found, not in the format of its API: check YOUTUBE_"),
    ],
)
def test_an_error_of_one_video_is_not_retried_and_names_the_video(
    api: YouTubeApi,
    client: httpx.Client,
    tmp_path: Path,
    answer: Answer,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api.instead[1] = answer

    with pytest.raises(CommentwiseError, match=f"not collected: {VIDEO} "):
        collect(client, [VIDEO, OTHER], tmp_path, ALL, no_wait)

    assert f"{VIDEO}: {message}" in capsys.readouterr().err
    assert ids(tmp_path, OTHER) == ["other-1"]


@pytest.mark.parametrize("answer", [refusal("keyInvalid"), refusal("accessNotConfigured"), wrong_key("Key expired.")])
def test_an_error_of_the_key_ends_the_collection_at_once(
    api: YouTubeApi, client: httpx.Client, tmp_path: Path, answer: Answer
) -> None:
    api.instead[1] = answer

    with pytest.raises(CommentwiseError, match="YouTube refuses YOUTUBE_API_KEY"):
        collect(client, [VIDEO, OTHER], tmp_path, ALL, no_wait)

    assert len(api.requests) == 1


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_an_invalid_key_is_refused_without_being_printed(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("YOUTUBE_API_KEY", key)

    with pytest.raises(CommentwiseError, match="YOUTUBE_API_KEY contains") as caught:
        open_client()

    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://host/v3", "https://", "https://host/v3?key=x", "https://user:word@host/", "http://h:99999/", "x"]
)
def test_an_invalid_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("YOUTUBE_API_KEY", KEY)
    monkeypatch.setenv("YOUTUBE_API_URL", url)

    with pytest.raises(CommentwiseError, match=re.escape(f"YOUTUBE_API_URL is {url!r}: give a URL")):
        open_client()


@pytest.mark.parametrize(
    "text",
    [
        VIDEO,
        f"https://www.youtube.com/watch?v={VIDEO}",
        f"https://m.youtube.com/watch?app=desktop&v={VIDEO}&t=10s",
        f"www.youtube.com/watch?v={VIDEO}#comments",
        f"https://youtube.com/shorts/{VIDEO}?feature=share",
        f"https://www.youtube.com/live/{VIDEO}/",
        f"https://youtu.be/{VIDEO}?si=abc",
    ],
)
def test_video_id_of_an_id_or_a_url(text: str) -> None:
    assert video_id(text) == VIDEO


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        VIDEO + "x",
        f"../{VIDEO}",
        f"https://example.org/watch?v={VIDEO}",
        "https://www.youtube.com/@channel",
    ],
)
def test_text_that_is_not_a_video_is_refused(text: str) -> None:
    with pytest.raises(CommentwiseError, match=re.escape(f"{text!r} is not a video")):
        video_id(text)
