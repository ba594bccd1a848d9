"""The choice of a cascade: as much as possible for the linear model, within the limit, and nothing where none holds it."""

import numpy as np

from commentwise.training.candidate import Predictions
from commentwise.training.choice.first_stage import Cascade, choose_cascade

COMMENTS = 3000
TRUE = np.arange(COMMENTS) % 3
IDS = [str(number) for number in range(COMMENTS)]


def predictions(predicted: np.ndarray, confidence: np.ndarray) -> Predictions:
    probabilities = np.repeat((1 - confidence[:, None]) / 2, 3, axis=1)
    probabilities[np.arange(COMMENTS), predicted] = confidence
    return Predictions(IDS, TRUE, probabilities)


def right_up_to(share: float) -> Predictions:
    """Sure and right about the first comments, unsure and wrong about the others."""
    first = np.arange(COMMENTS) < share * COMMENTS
    predicted = np.where(first, TRUE, (TRUE + 1) % 3)
    return predictions(predicted, np.linspace(0.99, 0.4, COMMENTS))


PERFECT = predictions(TRUE, np.full(COMMENTS, 0.9))


def choose(limit: float = 0.005, **linear: Predictions) -> Cascade | None:
    temperatures = {family: (found, 1.0) for family, found in linear.items()}
    return choose_cascade(PERFECT, temperatures, limit, resamples=500, seed=1)


def test_the_linear_model_gets_what_it_does_well() -> None:
    found = choose(svm=right_up_to(0.6))
    assert found is not None
    assert (found.family, round(found.share, 2)) == ("svm", 0.6)
    assert found.f1_loss == 0


def test_a_wider_limit_lets_it_answer_more_and_lose_more() -> None:
    strict, lax = choose(0.005, svm=right_up_to(0.6)), choose(0.1, svm=right_up_to(0.6))
    assert strict is not None
    assert lax is not None
    assert lax.share > strict.share
    assert strict.f1_loss < 0.005 < lax.f1_loss <= 0.1 - lax.standard_error


def test_chance_is_no_excuse() -> None:
    """A loss just within the limit is not enough: its standard error has to fit as well."""
    found = choose(0.005, svm=right_up_to(0.6))
    assert found is not None
    assert found.f1_loss + found.standard_error <= 0.005


def test_the_family_that_spares_the_encoder_most_is_taken() -> None:
    found = choose(logreg=right_up_to(0.3), svm=right_up_to(0.7))
    assert found is not None
    assert found.family == "svm"


def test_there_is_none_where_the_linear_model_is_wrong_when_it_is_sure() -> None:
    assert choose(svm=right_up_to(0.01)) is None
