"""The record of what the data of a result were made from."""

from pathlib import Path

import pandas as pd

from commentwise.training.project import Project
from commentwise.training.provenance import MAX_SOURCES, data_facts
from commentwise.training.registry.history_tables import data_line
from commentwise.training.registry.records import Data
from tests.tiny import NEGATIVE, NEUTRAL, POSITIVE
from tests.training.conftest import make_part

WORDS = {"negative": NEGATIVE, "neutral": NEUTRAL[:5], "positive": POSITIVE}


def test_the_data_of_a_retraining_tell_what_they_were_made_from(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.prepared.mkdir(parents=True)
    project.raw.parent.mkdir(parents=True)
    table = make_part(30, WORDS)
    for part in ("train", "validation", "test"):
        table.to_parquet(project.part(part), index=False)
    table.to_parquet(project.raw, index=False)
    assert "made_from" not in data_facts(project, "few.csv")
    table.assign(source=pd.Series([*["few.csv"] * 20, *["feedback"] * 9, None], dtype=object)).to_parquet(
        project.raw, index=False
    )
    facts = data_facts(project, "data/retrain/a.jsonl")
    assert facts["made_from"] == {"few.csv": 20, "feedback": 9, "unknown": 1}
    assert data_line(Data(**facts)).startswith(
        "data/retrain/a.jsonl (made from few.csv 20, feedback 9, unknown 1) -> raw comments "
    )
    table.assign(source=[f"video {number}" for number in range(30)]).to_parquet(project.raw, index=False)
    found = data_facts(project, "few.csv")["made_from"]
    assert len(found) == MAX_SOURCES + 1
    assert found["22 others"] == 22
