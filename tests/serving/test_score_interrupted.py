"""`commentwise score` killed, stopped or run twice at once: what it leaves, and how it continues."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from commentwise.serving.batch.chunks import CHUNK_ROWS, CHUNKS_AT_ONCE
from tests.serving.process import PATIENCE
from tests.serving.scoring import MANY, assert_refused, rows_of, score, spawn
from tests.tiny import write_tiny_manifest
from tests.waiting import until


def kill_after(process: subprocess.Popen[bytes], partial: Path, chunks: int) -> None:
    """Kill the command when it has finished `chunks` chunks."""
    state = partial / "state.json"
    until(lambda: state.exists() and json.loads(state.read_text())["totals"]["chunks"] >= chunks)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("flags", [["out.csv"], ["out.csv", "--bom"], ["out.jsonl.gz"], ["out.parquet"]], ids=" ".join)
@pytest.mark.slow
def test_a_killed_run_is_continued_with_the_same_output(busy: Path, tiny_bundle: Path, flags: list[str]) -> None:
    target, *more = flags
    (busy / "many.csv").open("a").write("no text,\n")
    assert score(busy, tiny_bundle, "many.csv", "-o", f"whole-{target}", *more).code == 0
    for chunks in (1, 4):
        kill_after(spawn(busy, tiny_bundle, "many.csv", "-o", target, *more), busy / f"{target}.partial", chunks)
        assert not (busy / target).exists()
    ended = score(busy, tiny_bundle, "many.csv", "-o", target, *more)
    assert re.match(rf"scored {MANY:,} of {MANY + 1:,} rows, \d+,000 of them by an earlier run, in ", ended.errors)
    for name in (target, f"{target}.rejects.jsonl"):
        assert (busy / name).read_bytes() == (busy / f"whole-{name}").read_bytes()
    assert not (busy / f"{target}.partial").exists()


@pytest.mark.slow
def test_finished_chunks_are_not_scored_again(busy: Path, tiny_bundle: Path) -> None:
    assert score(busy, tiny_bundle, "many.csv", "-o", "whole.csv").code == 0
    kill_after(spawn(busy, tiny_bundle, "many.csv", "-o", "out.csv"), busy / "out.csv.partial", 2)
    part = busy / "out.csv.partial" / "000000.rows"
    first = part.read_bytes()
    marked = first.replace(b",positive,", b",unchanged,")
    part.write_bytes(marked)
    assert score(busy, tiny_bundle, "many.csv", "-o", "out.csv").code == 0
    whole = (busy / "whole.csv").read_bytes()
    assert (busy / "out.csv").read_bytes() == marked + whole[len(first) :]


def touch(folder: Path) -> None:
    os.utime(folder / "many.csv")


def longer(folder: Path) -> None:
    (folder / "many.csv").open("a").write("new,good\n")


def other_bundle(folder: Path) -> None:
    write_tiny_manifest(folder / "bundle", metrics={"test": {"macro_f1": 0.8}})


CHANGES: dict[str, tuple[Callable[[Path], object], list[str], list[str]]] = {
    "input touched": (touch, [], ["input 1 was", "many.csv"]),
    "input longer": (longer, [], ["input 1 was", "many.csv"]),
    "other bundle": (other_bundle, [], ["the bundle was"]),
    "other column": (lambda _: None, ["--column", "id"], ["--column was text and is id"]),
    "byte-order mark": (lambda _: None, ["--bom"], ["--bom was None and is given"]),
}


@pytest.mark.parametrize(("change", "flags", "messages"), CHANGES.values(), ids=CHANGES.keys())
def test_unfinished_output_is_not_mixed_with_other_work(
    busy: Path, bundle_copy: Path, change: Callable[[Path], object], flags: list[str], messages: list[str]
) -> None:
    command = ["many.csv", "-o", "out.csv"]
    kill_after(spawn(busy, bundle_copy, *command), busy / "out.csv.partial", 1)
    change(busy)
    assert_refused(score(busy, bundle_copy, *command, *flags), "out.csv.partial", *messages, "--restart")
    ended = score(busy, bundle_copy, *command, *flags, "--restart")
    assert ended.code == 0
    assert "earlier" not in ended.errors


STOPS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]


@pytest.mark.parametrize(("number", "code", "verb"), STOPS)
def test_a_signal_stops_the_run_and_prints_how_to_continue(
    busy: Path, tiny_bundle: Path, number: signal.Signals, code: int, verb: str
) -> None:
    process = spawn(busy, tiny_bundle, "many.csv", "-o", "out.jsonl")
    until((busy / "out.jsonl.partial" / "000001.rows").exists)
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (code, b"")
    assert errors.decode() == f"{verb}: run the same command again to continue\n"
    ended = score(busy, tiny_bundle, "many.csv", "-o", "out.jsonl")
    assert f"scored {MANY:,} of {MANY:,} rows, " in ended.errors
    assert [row["id"] for row in rows_of(busy / "out.jsonl")] == [str(i) for i in range(MANY)]


def test_a_signal_while_waiting_for_standard_input(many: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    flags = ["--format", "csv", "-o", "-", "--output-format", "csv"]
    process = spawn(tmp_path, tiny_bundle, "-", *flags, stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    lines = (many / "many.csv").read_bytes().splitlines(keepends=True)
    process.stdin.write(b"".join(lines[: CHUNKS_AT_ONCE * CHUNK_ROWS + 100]))  # read before the first output
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"id,text,label")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert errors.decode() == "interrupted: standard input and output cannot be continued: start the command again\n"


def test_two_commands_cannot_write_the_same_output(busy: Path, tiny_bundle: Path) -> None:
    process = spawn(busy, tiny_bundle, "many.csv", "-o", "out.csv")
    until((busy / "out.csv.partial" / "state.json").exists)
    process.send_signal(signal.SIGSTOP)
    assert_refused(score(busy, tiny_bundle, "many.csv", "-o", "out.csv"), "another process is writing out.csv")
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
