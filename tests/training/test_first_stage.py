"""The choice of a cascade: the linear model labels as many comments as the limit allows, or there is no cascade."""

import numpy as np

from commentwise.training.candidate import Predictions
from commentwise.training.choice.first_stage import Cascade, choose_cascade

COMMENTS = 3000
TARGETS = np.arange(COMMENTS) % 3
IDS = [str(number) for number in range(COMMENTS)]


def predictions(predicted: np.ndarray, confidence: np.ndarray) -> Predictions:
    probabilities = np.repeat((1 - confidence[:, None]) / 2, 3, axis=1)
    probabilities[np.arange(COMMENTS), predicted] = confidence
    return Predictions(IDS, TARGETS, probabilities)


def correct_up_to(share: float) -> Predictions:
    """Confident and correct for the first `share` of the comments, less confident and wrong for the others."""
    first = np.arange(COMMENTS) < share * COMMENTS
    predicted = np.where(first, TARGETS, (TARGETS + 1) % 3)
    return predictions(predicted, np.linspace(0.99, 0.4, COMMENTS))


PERFECT = predictions(TARGETS, np.full(COMMENTS, 0.9))


def choose(limit: float = 0.005, **linear: Predictions) -> Cascade | None:
    first = {family: (predicted, 1.0) for family, predicted in linear.items()}
    return choose_cascade(PERFECT, first, limit, resamples=500, seed=1)


def test_the_linear_model_gets_the_comments_that_it_labels_correctly() -> None:
    cascade = choose(svm=correct_up_to(0.6))
    assert cascade is not None
    assert (cascade.family, round(cascade.share, 2)) == ("svm", 0.6)
    assert cascade.f1_loss == 0


def test_a_higher_limit_gives_a_larger_share_and_a_larger_loss() -> None:
    strict, lax = choose(0.005, svm=correct_up_to(0.6)), choose(0.1, svm=correct_up_to(0.6))
    assert strict is not None
    assert lax is not None
    assert lax.share > strict.share
    assert strict.f1_loss < 0.005 < lax.f1_loss <= 0.1 - lax.standard_error


def test_the_loss_plus_its_standard_error_is_within_the_limit() -> None:
    cascade = choose(0.005, svm=correct_up_to(0.6))
    assert cascade is not None
    assert cascade.f1_loss + cascade.standard_error <= 0.005


def test_the_family_with_the_largest_share_is_chosen() -> None:
    cascade = choose(logreg=correct_up_to(0.3), svm=correct_up_to(0.7))
    assert cascade is not None
    assert cascade.family == "svm"


def test_there_is_no_cascade_if_the_linear_model_is_confident_and_wrong() -> None:
    assert choose(svm=correct_up_to(0.01)) is None
