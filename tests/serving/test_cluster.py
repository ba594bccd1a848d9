"""`commentwise score --engine ray` on a cluster on this machine gives the rows and labels of the local engine."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from tests.serving.process import ROOT
from tests.waiting import until

TEXTS = ["a good video", "bad video", "", "the video", "great été", None, "i hate it", "x" * 20_001]
ROWS = 6_000
GROUP = 700
COMMAND = (sys.executable, "-m", "commentwise", "score", "--column", "Comment")


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A client of an S3 server with an empty bucket. The environment, also of child processes, points to the server."""
    server = ThreadedMotoServer(port=0)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client
    server.stop()


@pytest.fixture(scope="module")
def ray_address(s3: Any) -> Iterator[str]:
    """A cluster with two CPUs, like one of `ray start --head`."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200_000_000, log_to_driver=False)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture(scope="module")
def comments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files: one with several row groups, one with a single row group larger than a block."""
    folder = tmp_path_factory.mktemp("comments")
    for number in range(2):
        texts = [
            text and f"{text} {number * ROWS + row}" if row % 3 else text
            for row, text in enumerate(TEXTS[row % len(TEXTS)] for row in range(ROWS))
        ]
        table = pa.table({"id": pa.array(range(ROWS), "int32"), "Comment": texts})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=(GROUP, ROWS)[number])
    return folder


def score(bundle: Path, *arguments: str | Path, code: int = 0, **variables: str) -> str:
    """Run the command; return its standard error."""
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


@pytest.fixture(scope="module")
def local(comments: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The output of the local engine for the comments, and its standard error."""
    out = tmp_path_factory.mktemp("local") / "scored.parquet"
    return out, score(tiny_bundle, comments / "0.parquet", comments / "1.parquet", "-o", out)


def summary(said: str) -> tuple[str, str]:
    """Rows and labels in the last line, without what differs between runs. Ray may print lines before it."""
    rows, _, rest = said.splitlines()[-1].partition(" rows")
    return rows, rest.partition("comments/s): ")[2].partition(";")[0]


def test_a_killed_run_is_continued_and_equals_the_local_engine(
    ray_address: str, comments: Path, tiny_bundle: Path, local: tuple[Path, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    bundles = set(Path(gettempdir()).glob("commentwise-*/golden.json"))
    running = subprocess.Popen(
        [*COMMAND, "--model", tiny_bundle, "--engine", "ray", "--ray-address", ray_address, comments, "-o", out],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: len(list(out.glob("_finished/part-*"))) >= 2 or running.poll() is not None, 120)
    running.kill()
    running.wait()
    assert not (out / "_SUCCESS").exists()
    done = {path.stem for path in out.glob("_finished/part-*")}
    times = {name: (out / f"{name}.parquet").stat().st_mtime_ns for name in done}

    for other in ((comments / "0.parquet",), (comments, "--column", "id", "--overwrite")):
        assert "holds results of another command (" in on_cluster(ray_address, tiny_bundle, *other, "-o", out, code=1)
    said = on_cluster(ray_address, tiny_bundle, comments, "-o", out)
    assert "of them by an earlier run" in said
    assert all((out / f"{name}.parquet").stat().st_mtime_ns == at for name, at in times.items())
    expected, told = local
    assert pq.read_table(out).equals(pq.read_table(expected))
    assert summary(said) == summary(told)
    aside = "".join(part.read_text(encoding="utf-8") for part in sorted((out / "_rejects").iterdir()))
    assert rejects(aside) == rejects(expected.with_name(f"{expected.name}.rejects.jsonl").read_text(encoding="utf-8"))
    assert set(Path(gettempdir()).glob("commentwise-*/golden.json")) <= bundles

    assert "is complete" in on_cluster(ray_address, tiny_bundle, comments, "-o", out, code=1)
    nowhere = on_cluster("127.0.0.1:1", tiny_bundle, comments, "-o", out, "--overwrite", code=1)
    assert nowhere.startswith("error: no Ray cluster")
    assert pq.read_table(out).equals(pq.read_table(expected)), "the output to replace is gone"
    assert "earlier run" not in on_cluster(ray_address, tiny_bundle, comments / "0.parquet", "-o", out, "--overwrite")


@pytest.mark.slow
def test_a_changed_input_is_not_mixed_with_earlier_results(
    ray_address: str, comments: Path, tiny_bundle: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "comments.parquet", tmp_path / "out"
    source.write_bytes((comments / "0.parquet").read_bytes())
    on_cluster(ray_address, tiny_bundle, source, "-o", out)
    (out / "_SUCCESS").unlink()
    os.utime(source, (1, 1))
    said = on_cluster(ray_address, tiny_bundle, source, "-o", out, code=1)
    assert f"input 1 was {source} (" in said
    (out / "_finished/work.json").write_bytes(b"")
    assert "start again with --restart" in on_cluster(ray_address, tiny_bundle, source, "-o", out, code=1)
    assert "earlier run" not in on_cluster(ray_address, tiny_bundle, source, "-o", out, "--restart")


def test_parquet_in_s3_is_scored_into_s3(
    ray_address: str, s3: Any, comments: Path, tiny_bundle: Path, local: tuple[Path, str]
) -> None:
    s3.upload_file(str(comments / "0.parquet"), "bucket", "comments/0.parquet")
    for name in ("_finished/work.json", "part-00009-00000.parquet"):  # of another command
        s3.put_object(Bucket="bucket", Key=f"scored/{name}", Body=b"{}")
    command = (ray_address, tiny_bundle, "s3://bucket/comments", "-o", "s3://bucket/scored")
    assert "holds results of another command" in on_cluster(*command, code=1)
    said = on_cluster(*command, "--restart")
    assert "(1,500 no text, 750 text too long) in s3://bucket/scored/_rejects;" in said
    expected = pq.read_table(local[0])
    assert pq.read_table("s3://bucket/scored").equals(expected.slice(0, expected.num_rows // 2))
    refused = on_cluster(*command, code=1, AWS_ENDPOINT_URL="http://127.0.0.1:1")
    assert refused.startswith("error: s3://bucket/")
    assert "check the name, the address and the credentials" in refused


def test_mistakes_are_reported_in_one_line(ray_address: str, comments: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "comments.csv").write_text("Comment\na\n", encoding="utf-8")
    for arguments, reason in (
        ((comments, "-o", out, "--column", "text"), "has no column 'text'"),
        ((tmp_path / "none.parquet", "-o", out), "does not exist"),
        ((tmp_path / "comments.csv", "-o", out), "reads only these"),
        ((comments, "-o", comments), "holds files that this command did not write"),
        ((comments, "-o", comments, "--overwrite"), "holds files that this command did not write"),
        ((comments, "-o", out, "--rejects", tmp_path / "r"), "--rejects does not go with --engine ray"),
    ):
        said = on_cluster(ray_address, tiny_bundle, *arguments, code=1)
        assert said.startswith("error: "), said
        assert reason in said
        assert said.count("\n") == 1
    refused = on_cluster("127.0.0.1:1", tiny_bundle, comments, "-o", out, code=1)
    assert refused.startswith("error: no Ray cluster at 127.0.0.1:1 ")
