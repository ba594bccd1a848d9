import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from commentwise.training.params import read_params
from commentwise.training.settings import Settings, parse_settings
from tests.checkpoints import write_checkpoint

PARAMS = Path(__file__).parents[2] / "params.yaml"
WORDS = {
    "negative": ["awful", "worst", "broken", "hate", "refund"],
    "neutral": ["when", "where", "minute", "song", "link"],
    "positive": ["great", "love", "thanks", "best", "lovely"],
}
TWO = {"no": WORDS["negative"], "yes": WORDS["positive"]}
TWENTY = {f"topic{number}": [f"{word}{number}" for word in ("alpha", "beta", "gamma")] for number in range(20)}
FILLER = ["the", "video", "this", "is", "part", "really", "so", "and", "a", "channel"]


def make_part(rows: int, labels: dict[str, list[str]], first: int = 0) -> pd.DataFrame:
    """Comments with words that are typical of their label, so that a small model can learn it."""
    names = list(labels)
    texts, row_labels = [], []
    for number in range(first, first + rows):
        label = names[number % len(names)]
        words = labels[label]
        filler = [FILLER[(number * step) % len(FILLER)] for step in (1, 3, 7)]
        texts.append(
            " ".join([filler[0], words[number % len(words)], filler[1], words[(number // 3) % len(words)], filler[2]])
        )
        row_labels.append(label)
    return pd.DataFrame(
        {
            "comment_id": [f"c{first + row}" for row in range(rows)],
            "text": texts,
            "label": row_labels,
            "group": range(first, first + rows),
        }
    )


def params(**changes: Any) -> dict[str, Any]:
    """The repository's params with some values changed. Keys are written like families__bert__epochs."""
    content = read_params(PARAMS)
    for name, value in changes.items():
        *parents, key = name.split("__")
        section = content
        for parent in parents:
            section = section[parent]
        section[key] = value
    return content


def settings(**changes: Any) -> Settings:
    return parse_settings(params(**changes), PARAMS)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [text for labels in (WORDS, TWENTY) for text in make_part(60, labels)["text"]]
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), texts)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the test, which contains only params.yaml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["commentwise"])
    shutil.copyfile(PARAMS, tmp_path / "params.yaml")
    return tmp_path


def write_parts(labels: dict[str, list[str]], train: int = 240, held_out: int = 60) -> None:
    """Write data/prepared in the current folder."""
    folder = Path("data/prepared")
    folder.mkdir(parents=True)
    for part, rows, first in (("train", train, 0), ("validation", held_out, 1000), ("test", held_out, 2000)):
        make_part(rows, labels, first).to_parquet(folder / f"{part}.parquet", index=False)
