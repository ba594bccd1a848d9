"""The experiments of a sweep, with the parameters that were changed, the scores and the time."""

import json
import sys
from pathlib import Path

import pytest

from commentwise.training.studies import sweep
from tests.lab import FAMILY


def test_experiments_fit_80_columns_with_what_changed_and_the_best_first(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["commentwise experiments", "--json"])
    sweep.main()
    found = {trial["name"]: trial for trial in json.loads(capsys.readouterr().out)}
    assert found["mild"]["changed"] == {"seed": 7, "families.logreg.C": [0.001]}
    assert found["strong"]["changed"] == {"families.logreg.C": [20]}
    assert all(trial["winner"] == FAMILY and trial["seconds"] > 0 for trial in found.values())
    scores = [trial["scores"]["validation"]["value"] for trial in found.values()]
    assert scores == sorted(scores, reverse=True)
    assert all(trial["scores"]["test"]["low"] <= trial["scores"]["test"]["value"] for trial in found.values())
    monkeypatch.setattr(sys, "argv", ["commentwise experiments"])
    sweep.main()
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "families.logreg.C=[20]" in printed
