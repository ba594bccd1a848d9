"""Selection: the leader wins, unless a cheaper candidate is shown to be no worse; the reason says which it was."""

from pathlib import Path

import numpy as np
import pytest

from commentwise.errors import CommentwiseError
from commentwise.training.candidate import Predictions
from commentwise.training.choice.select import Ranked, choose, drop_left_out
from commentwise.training.project import Project
from commentwise.training.scores import macro_f1
from tests.training.conftest import settings

ROWS = 600
TARGETS = np.arange(ROWS) % 3
OPERATIONS = {"bert": 340_000_000, "svm": 180, "logreg": 190}


def predictions(wrong: int, first: int = 0) -> Predictions:
    """Predictions that are wrong in `wrong` rows, from row `first` on."""
    predicted = TARGETS.copy()
    predicted[first : first + wrong] = (predicted[first : first + wrong] + 1) % 3
    return Predictions([str(row) for row in range(ROWS)], TARGETS, np.eye(3)[predicted])


def run(margin: float = 0.02, **wrong: tuple[int, int]) -> dict[str, object]:
    by_family = {family: predictions(*rows) for family, rows in wrong.items()}
    ranking = [
        Ranked(family, macro_f1(TARGETS, each.predicted, 3), OPERATIONS[family]) for family, each in by_family.items()
    ]
    return choose(sorted(ranking, key=lambda ranked: -ranked.macro_f1), by_family, settings(select__margin=margin))


def test_a_significant_lead_wins() -> None:
    selection = run(bert=(30, 0), svm=(90, 0), logreg=(100, 0))
    assert selection["winner"] == "bert"
    reason = str(selection["reason"])
    assert "bert wins: it leads with 0.950 validation macro-F1; svm is cheaper, but loses 10.0 points" in reason
    assert "is not shown to lose less than 2.0 points (select.margin)" in reason


def test_a_lead_that_may_be_chance_is_no_proof_of_equality() -> None:
    selection = run(bert=(60, 0), svm=(63, 300), logreg=(150, 0))
    assert selection["winner"] == "bert"
    assert "svm is cheaper, but loses 0.5 points (95% interval -" in str(selection["reason"])


def test_a_cheaper_candidate_that_is_shown_to_be_no_worse_wins() -> None:
    selection = run(bert=(60, 0), svm=(61, 0), logreg=(62, 0))
    assert selection["winner"] == "svm"
    reason = str(selection["reason"])
    assert (
        "svm wins: bert leads with 0.900 validation macro-F1, but svm needs 180 operations per comment instead of"
        in reason
    )
    assert "shown to be less than 2.0 points (select.margin)" in reason


def test_with_a_margin_of_0_the_leader_wins() -> None:
    assert run(0, bert=(60, 0), svm=(61, 0), logreg=(62, 0))["winner"] == "bert"


def test_a_leader_that_is_the_cheapest_wins() -> None:
    selection = run(svm=(60, 0), logreg=(63, 300), bert=(64, 100))
    assert selection["winner"] == "svm"
    assert "no candidate is cheaper" in str(selection["reason"])


def test_of_equal_candidates_the_cheapest_wins() -> None:
    assert run(bert=(60, 0), svm=(60, 0), logreg=(60, 0))["winner"] == "svm"


def test_a_single_candidate_wins() -> None:
    selection = run(svm=(60, 0))
    assert selection["winner"] == "svm"
    assert selection["reason"] == "svm wins with 0.900 validation macro-F1: it is the only candidate"


def test_what_an_earlier_run_with_more_families_left_is_deleted(tmp_path: Path) -> None:
    project = Project(tmp_path)
    for family in ("svm", "bert"):
        project.candidate(family).mkdir(parents=True)
        project.evaluated(family).parent.mkdir(parents=True)
    (project.candidates / ".gitignore").write_text("/svm\n/bert\n", encoding="utf-8")
    drop_left_out(project, ["svm"])
    assert sorted(path.name for path in project.candidates.iterdir()) == [".gitignore", "svm"]
    assert [path.name for path in project.evaluation.iterdir()] == ["svm"]
    drop_left_out(Project(tmp_path / "new"), ["svm"])


def test_predictions_for_different_rows_are_an_error() -> None:
    by_family = {"bert": predictions(10), "svm": Predictions(["another"] * ROWS, TARGETS, np.eye(3)[TARGETS])}
    ranking = [Ranked("bert", 0.9, 2), Ranked("svm", 0.8, 1)]
    with pytest.raises(CommentwiseError, match="measured on different validation rows"):
        choose(ranking, by_family, settings())
