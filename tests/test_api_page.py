"""The examples in docs/api.md run against a real server and a real bundle."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

import commentwise
from tests.registry import register
from tests.serving.process import Server, started

PAGE = Path(__file__).parents[1] / "docs/api.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def server(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with started(folder, "--model", str(tiny_bundle)) as running:
        yield running


@pytest.fixture(scope="module")
def registry(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return register(tmp_path_factory.mktemp("registry"), tiny_bundle)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(
    example: str,
    server: Server,
    registry: str,
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "artifacts/bundle").symlink_to(tiny_bundle)
    sample = pd.read_json(PAGE.parents[1] / "data/sample/comments.jsonl", lines=True).head(400)
    sample.rename(columns={"text": "Review", "label": "Rating"})[["Review", "Rating"]].to_csv(
        tmp_path / "reviews.csv", index=False
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)
    exec(compile(example.replace(ADDRESS, server.url), str(PAGE), "exec"), {"__name__": "example"})
    assert capsys.readouterr().out or "print" not in example


def test_every_public_name_is_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in commentwise.__all__:
        assert name == "__version__" or f"\n## {name}\n" in text
        assert getattr(commentwise, name)
