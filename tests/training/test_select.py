"""Who wins: a real lead counts, a tie goes to the smaller model, and the reason says which it was."""

import numpy as np
import pytest

from commentwise.errors import CommentwiseError
from commentwise.training.candidate import Predictions
from commentwise.training.choice.select import Ranked, choose
from commentwise.training.scores import macro_f1
from tests.training.conftest import settings

ROWS = 600
TRUE = np.arange(ROWS) % 3
PARAMETERS = {"bert": 22_000_000, "svm": 20_000, "logreg": 21_000}


def predictions(wrong: int, first: int = 0) -> Predictions:
    """Answers that are wrong on `wrong` rows from row `first` on."""
    answers = TRUE.copy()
    answers[first : first + wrong] = (answers[first : first + wrong] + 1) % 3
    return Predictions([str(row) for row in range(ROWS)], TRUE, np.eye(3)[answers])


def run(tie: str = "smaller", **wrong: tuple[int, int]) -> dict[str, object]:
    answers = {family: predictions(*rows) for family, rows in wrong.items()}
    ranking = [
        Ranked(family, macro_f1(TRUE, found.predicted, 3), PARAMETERS[family]) for family, found in answers.items()
    ]
    return choose(sorted(ranking, key=lambda ranked: -ranked.macro_f1), answers, settings(select__tie=tie))


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


def test_a_tie_goes_to_the_better_model_where_that_is_wanted() -> None:
    selection = run("better", bert=(60, 0), svm=(63, 300), logreg=(150, 0))
    assert selection["winner"] == "bert"
    assert "which is not statistically significant, but select.tie is better" in str(selection["reason"])


def test_a_leader_that_is_also_the_smaller_model_wins_a_tie() -> None:
    selection = run(svm=(60, 0), logreg=(63, 300), bert=(64, 100))
    assert selection["winner"] == "svm"
    assert "which is not statistically significant, but it is also the smaller model" in str(selection["reason"])


def test_equal_models_are_a_tie() -> None:
    assert run(bert=(60, 0), svm=(60, 0), logreg=(60, 0))["winner"] == "svm"


def test_other_rows_cannot_be_compared() -> None:
    answers = {"bert": predictions(10), "svm": Predictions(["another"] * ROWS, TRUE, np.eye(3)[TRUE])}
    ranking = [Ranked("bert", 0.9, 2), Ranked("svm", 0.8, 1)]
    with pytest.raises(CommentwiseError, match="measured on different validation rows"):
        choose(ranking, answers, settings())
