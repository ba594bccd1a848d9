"""Selection: a significant lead wins, a tie goes to the smaller model, and the reason says which it was."""

import numpy as np
import pytest

from commentwise.errors import CommentwiseError
from commentwise.training.candidate import Predictions
from commentwise.training.choice.select import Ranked, choose
from commentwise.training.scores import macro_f1
from tests.training.conftest import settings

ROWS = 600
TARGETS = np.arange(ROWS) % 3
PARAMETERS = {"bert": 22_000_000, "svm": 20_000, "logreg": 21_000}


def predictions(wrong: int, first: int = 0) -> Predictions:
    """Predictions that are wrong in `wrong` rows, from row `first` on."""
    predicted = TARGETS.copy()
    predicted[first : first + wrong] = (predicted[first : first + wrong] + 1) % 3
    return Predictions([str(row) for row in range(ROWS)], TARGETS, np.eye(3)[predicted])


def run(tie: str = "smaller", **wrong: tuple[int, int]) -> dict[str, object]:
    by_family = {family: predictions(*rows) for family, rows in wrong.items()}
    ranking = [
        Ranked(family, macro_f1(TARGETS, each.predicted, 3), PARAMETERS[family]) for family, each in by_family.items()
    ]
    return choose(sorted(ranking, key=lambda ranked: -ranked.macro_f1), by_family, settings(select__tie=tie))


def test_a_significant_lead_wins() -> None:
    selection = run(bert=(30, 0), svm=(90, 0), logreg=(100, 0))
    assert selection["winner"] == "bert"
    assert "bert wins with 0.950 validation macro-F1: it leads svm by 10.0 points" in str(selection["reason"])
    assert "which is statistically significant" in str(selection["reason"])


def test_a_tie_goes_to_the_smaller_model() -> None:
    selection = run(bert=(60, 0), svm=(63, 300), logreg=(150, 0))
    assert selection["winner"] == "svm"
    assert "svm wins: bert leads it by only 0.5 points" in str(selection["reason"])
    assert "20,000 parameters against 22,000,000" in str(selection["reason"])


def test_with_tie_better_the_leader_wins_a_tie() -> None:
    selection = run("better", bert=(60, 0), svm=(63, 300), logreg=(150, 0))
    assert selection["winner"] == "bert"
    assert "which is not statistically significant, but select.tie is better" in str(selection["reason"])


def test_a_leader_that_is_the_smaller_model_wins_a_tie() -> None:
    selection = run(svm=(60, 0), logreg=(63, 300), bert=(64, 100))
    assert selection["winner"] == "svm"
    assert "which is not statistically significant, but it is also the smaller model" in str(selection["reason"])


def test_equal_models_are_a_tie() -> None:
    assert run(bert=(60, 0), svm=(60, 0), logreg=(60, 0))["winner"] == "svm"


def test_predictions_for_different_rows_are_an_error() -> None:
    by_family = {"bert": predictions(10), "svm": Predictions(["another"] * ROWS, TARGETS, np.eye(3)[TARGETS])}
    ranking = [Ranked("bert", 0.9, 2), Ranked("svm", 0.8, 1)]
    with pytest.raises(CommentwiseError, match="measured on different validation rows"):
        choose(ranking, by_family, settings())
