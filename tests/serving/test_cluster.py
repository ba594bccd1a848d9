"""`python -m serving.score --engine ray` on a cluster of this machine: the local engine's rows and labels."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.serving.process import ROOT
from tests.waiting import until

pytest.importorskip("ray", reason="no Ray here: pip install 'ray[data]'")

TEXTS = ["a good video", "bad video", "", "the video", "great été", None, "i hate it", "x" * 20_001]
ROWS = 6_000
GROUP = 700
COMMAND = (sys.executable, "-m", "serving.score", "--column", "Comment")


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """A cluster with two processors, as `ray start --head` makes one."""
    import ray

    context = ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200_000_000, log_to_driver=False)
    yield context.address_info["address"]
    ray.shutdown()


@pytest.fixture(scope="module")
def comments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files with several row groups."""
    folder = tmp_path_factory.mktemp("comments")
    for number in range(2):
        texts = [
            text and f"{text} {number * ROWS + row}" if row % 3 else text
            for row, text in enumerate(TEXTS[row % len(TEXTS)] for row in range(ROWS))
        ]
        table = pa.table({"id": pa.array(range(ROWS), "int32"), "Comment": texts})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=GROUP)
    return folder


def score(bundle: Path, *arguments: str | Path, code: int = 0, **variables: str) -> str:
    """Run the command; return what it said."""
    done = subprocess.run(
        [*COMMAND, "--model", str(bundle), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == code, done.stderr
    return done.stderr


def on_cluster(address: str, bundle: Path, *arguments: str | Path, code: int = 0, **variables: str) -> str:
    return score(bundle, "--engine", "ray", "--ray-address", address, *arguments, code=code, **variables)


def rejects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_rows_labels_and_rejects_are_the_local_engines(
    ray_address: str, comments: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    inputs = [comments / "0.parquet", comments / "1.parquet"]
    local = score(tiny_bundle, *inputs, "-o", tmp_path / "local.parquet")
    cluster = on_cluster(ray_address, tiny_bundle, comments, "-o", tmp_path / "out")
    assert pq.read_table(tmp_path / "out").equals(pq.read_table(tmp_path / "local.parquet"))
    parts = sorted((tmp_path / "out/_rejects").iterdir())
    aside = rejects("".join(part.read_text(encoding="utf-8") for part in parts))
    assert aside == rejects((tmp_path / "local.parquet.rejects.jsonl").read_text(encoding="utf-8"))
    assert local.partition(" rows in ")[0] == cluster.partition(" rows in ")[0]
    assert (
        local.partition("comments/s): ")[2].partition(";")[0] == cluster.partition("comments/s): ")[2].partition(";")[0]
    )


def test_what_was_finished_before_a_kill_is_not_scored_again(
    ray_address: str, comments: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    command = [*COMMAND, "--model", str(tiny_bundle), "--engine", "ray", "--ray-address", ray_address]
    running = subprocess.Popen(
        [*command, str(comments), "-o", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    finished = tmp_path / "out/_finished"
    until(lambda: len(list(finished.glob("part-*"))) >= 2 or running.poll() is not None, 120)
    running.kill()
    running.wait()
    assert not (tmp_path / "out/_SUCCESS").exists()
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*.parquet")}
    done = {path.stem for path in finished.glob("part-*")}
    said = on_cluster(ray_address, tiny_bundle, comments, "-o", tmp_path / "out")
    assert "of them by an earlier run" in said
    assert all(path.stat().st_mtime_ns == at for path, at in times.items() if path.stem in done)
    assert pq.read_table(tmp_path / "out").num_rows == sum(
        json.loads(path.read_text())["rows"] for path in finished.glob("part-*")
    )
    assert "is complete" in on_cluster(ray_address, tiny_bundle, comments, "-o", tmp_path / "out", code=1)
    other = on_cluster(ray_address, tiny_bundle, comments / "0.parquet", "-o", tmp_path / "out", code=1)
    assert "holds the work of another command (inputs was" in other
    again = on_cluster(ray_address, tiny_bundle, comments / "0.parquet", "-o", tmp_path / "out", "--overwrite")
    assert "earlier run" not in again
    assert not list((tmp_path / "out").glob("part-00001-*"))


def test_what_cannot_be_done_is_said_in_a_line(
    ray_address: str, comments: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (tmp_path / "comments.csv").write_text("Comment\na\n", encoding="utf-8")
    for arguments, reason in (
        ((comments, "-o", out, "--column", "text"), "has no column 'text'"),
        ((tmp_path / "none.parquet", "-o", out), "there is no file"),
        ((tmp_path / "comments.csv", "-o", out), "reads nothing else"),
        ((comments, "-o", comments), "holds what this command did not write"),
        ((comments, "-o", comments, "--overwrite"), "holds what this command did not write"),
        ((comments, "-o", out, "--rejects", tmp_path / "r"), "--rejects is nothing for --engine ray"),
    ):
        said = on_cluster(ray_address, tiny_bundle, *arguments, code=1)
        assert said.startswith("error: "), said
        assert reason in said
        assert said.count("\n") == 1
    nobody = on_cluster("127.0.0.1:1", tiny_bundle, comments, "-o", out, code=1)
    assert "no Ray cluster at 127.0.0.1:1" in nobody
