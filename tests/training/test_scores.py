"""Scores equal those of scikit-learn, intervals those of resampled rows; calibration is checked by hand."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    mean_absolute_error,
    precision_recall_fscore_support,
    recall_score,
)

from commentwise.models.probabilities import softmax
from commentwise.training.calibration import fit_temperature
from commentwise.training.scores import (
    ORDINAL_SCORES,
    SCORES,
    Targets,
    bootstrap_intervals,
    calibration_error,
    confusion,
    label_indices,
    label_intervals,
    macro_f1,
    paired_bootstrap,
    per_label,
    reliability,
    summary,
)


def sample(rows: int, labels: int, seed: int, accuracy: float = 0.6) -> tuple[Targets, Targets]:
    """Targets and predicted labels with at least about this accuracy."""
    rng = np.random.default_rng(seed)
    targets = rng.choice(labels, rows, p=rng.dirichlet(np.full(labels, 2.0)))
    return targets, np.where(rng.random(rows) < accuracy, targets, rng.integers(0, labels, rows))


# The labels, of four, from which targets and predictions are drawn.
PRESENT = {
    "all": ([0, 1, 2, 3], [0, 1, 2, 3]),
    "one never predicted": ([0, 1, 2, 3], [0, 1, 3]),
    "one never a target": ([0, 2, 3], [0, 1, 2, 3]),
    "one in neither": ([0, 1, 3], [0, 1, 3]),
    "all the same": ([2], [2]),
    "never correct": ([0, 1], [2, 3]),
}


@pytest.mark.parametrize(("target_labels", "predicted_labels"), PRESENT.values(), ids=PRESENT.keys())
def test_scores_equal_those_of_scikit_learn(target_labels: list[int], predicted_labels: list[int]) -> None:
    rng = np.random.default_rng(3)
    targets, predicted = rng.choice(target_labels, 200), rng.choice(predicted_labels, 200)
    counts = confusion(targets, predicted, 4)
    scores = summary(counts, ordinal=True)
    options = {"labels": range(4), "zero_division": 0}
    assert scores["accuracy"] == pytest.approx(accuracy_score(targets, predicted))
    assert scores["macro_f1"] == pytest.approx(f1_score(targets, predicted, average="macro", **options))
    assert scores["macro_recall"] == pytest.approx(recall_score(targets, predicted, average="macro", **options))
    assert macro_f1(targets, predicted, 4) == scores["macro_f1"]
    assert scores["mae"] == pytest.approx(mean_absolute_error(targets, predicted))
    kappa = cohen_kappa_score(targets, predicted, weights="quadratic", labels=range(4))
    assert scores["quadratic_kappa"] == pytest.approx(np.nan_to_num(kappa))  # scikit-learn has no kappa of one label
    by_label = precision_recall_fscore_support(targets, predicted, **options)
    for name, expected in zip(("precision", "recall", "f1"), by_label[:3], strict=True):
        assert per_label(counts)[name] == pytest.approx(expected)


def test_scores_of_stacked_matrices_equal_those_of_each_matrix() -> None:
    matrices = np.stack([confusion(*sample(50, 3, seed), 3) for seed in range(4)])
    for name in (*SCORES, *ORDINAL_SCORES):
        assert summary(matrices, True)[name].tolist() == [summary(matrix, True)[name] for matrix in matrices]


def test_intervals_equal_those_of_resampled_rows() -> None:
    targets, predicted = sample(300, 3, 5)
    counts = confusion(targets, predicted, 3)
    intervals = bootstrap_intervals(counts, 4000, 1, ordinal=True)
    rng = np.random.default_rng(2)
    drawn = rng.integers(0, len(targets), (4000, len(targets)))
    resampled = np.stack([confusion(targets[rows], predicted[rows], 3) for rows in drawn])
    assert list(bootstrap_intervals(counts, 100, 1)) == list(SCORES)
    assert list(intervals) == [*SCORES, *ORDINAL_SCORES]
    for name, (low, high) in intervals.items():
        expected = np.quantile(summary(resampled, ordinal=True)[name], [0.025, 0.975])
        assert (low, high) == pytest.approx(expected, abs=0.012)
        assert low < summary(counts, ordinal=True)[name] < high
    for name, ranges in label_intervals(counts, 4000, 1).items():
        expected = np.quantile(per_label(resampled)[name], [0.025, 0.975], axis=0).T
        assert np.array(ranges) == pytest.approx(expected, abs=0.025)


def test_the_seed_determines_the_intervals() -> None:
    counts = confusion(*sample(300, 3, 5), 3)
    assert bootstrap_intervals(counts, 200, 1) == bootstrap_intervals(counts, 200, 1)
    assert bootstrap_intervals(counts, 200, 1) != bootstrap_intervals(counts, 200, 2)


def test_the_intervals_of_a_perfect_classifier_have_width_zero() -> None:
    targets, _ = sample(100, 3, 4)
    assert set(bootstrap_intervals(confusion(targets, targets, 3), 200, 1).values()) == {(1.0, 1.0)}


def test_the_difference_of_identical_predictions_is_exactly_zero() -> None:
    targets, predicted = sample(200, 3, 6)
    assert paired_bootstrap(targets, predicted, predicted.copy(), 3, 500, 1) == (0.0, (0.0, 0.0))


def test_a_large_lead_is_significant_and_a_small_one_is_not() -> None:
    targets, good = sample(400, 3, 7, accuracy=0.9)
    _, bad = sample(400, 3, 7, accuracy=0.3)
    lead, (low, _) = paired_bootstrap(targets, good, bad, 3, 500, 1)
    assert lead == pytest.approx(macro_f1(targets, good, 3) - macro_f1(targets, bad, 3))
    assert 0 < low < lead
    almost = good.copy()
    almost[np.flatnonzero(good == targets)[0]] = (targets[np.flatnonzero(good == targets)[0]] + 1) % 3
    lead, (low, high) = paired_bootstrap(targets, good, almost, 3, 500, 1)
    assert low <= 0 < lead < high


def test_exchanging_the_classifiers_negates_the_lead() -> None:
    targets, one = sample(300, 3, 8)
    _, other = sample(300, 3, 9)
    lead, (low, high) = paired_bootstrap(targets, one, other, 3, 2000, 1)
    opposite, (opposite_low, opposite_high) = paired_bootstrap(targets, other, one, 3, 2000, 1)
    assert opposite == pytest.approx(-lead)
    assert (opposite_low, opposite_high) == pytest.approx((-high, -low), abs=0.01)


def test_the_paired_interval_equals_that_of_resampled_rows() -> None:
    targets, one = sample(300, 3, 8)
    other = np.where(np.random.default_rng(1).random(300) < 0.8, one, targets)
    drawn = np.random.default_rng(2).integers(0, 300, (2000, 300))
    resampled = [macro_f1(targets[rows], one[rows], 3) - macro_f1(targets[rows], other[rows], 3) for rows in drawn]
    _, interval = paired_bootstrap(targets, one, other, 3, 2000, 1)
    assert interval == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.01)


# Confidence 0.9 (correct), 0.9 (wrong), 0.7 (correct), 1.0 (correct). With four bins, only 0.7 is in another bin.
BY_HAND = np.array([[0.9, 0.1], [0.1, 0.9], [0.7, 0.3], [1.0, 0.0]])
BY_HAND_TARGETS = np.array([0, 0, 0, 0])


def test_reliability_by_hand() -> None:
    low, high = reliability(BY_HAND, BY_HAND_TARGETS, 4)
    assert low == {"confidence": pytest.approx(0.7), "accuracy": 1.0, "comments": 1}
    assert high == {"confidence": pytest.approx(2.8 / 3), "accuracy": pytest.approx(2 / 3), "comments": 3}


def test_calibration_error_by_hand() -> None:
    expected = (1 * abs(1 - 0.7) + 3 * abs(2 / 3 - 2.8 / 3)) / 4
    assert calibration_error(BY_HAND, BY_HAND_TARGETS, 4) == pytest.approx(expected)


def test_full_confidence_in_correct_labels_is_perfect_calibration() -> None:
    assert calibration_error(np.eye(3), np.arange(3), 15) == 0


def test_label_indices() -> None:
    assert label_indices(["b", "a", "c", "b"], ["a", "b", "c"]).tolist() == [1, 0, 2, 1]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    rng = np.random.default_rng(11)
    calibrated = rng.normal(0, 2, (20_000, 3))
    targets = (softmax(calibrated).cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    assert fit_temperature(calibrated * temperature, targets) == pytest.approx(temperature, rel=0.05)


def test_scaling_calibrates_overconfident_logits_and_changes_no_label() -> None:
    rng = np.random.default_rng(12)
    calibrated = rng.normal(0, 1, (5000, 3))
    targets = (softmax(calibrated).cumsum(axis=1) > rng.random((5000, 1))).argmax(axis=1)
    before = softmax(4 * calibrated)
    after = softmax(4 * calibrated, fit_temperature(4 * calibrated, targets))
    assert calibration_error(after, targets, 15) < 0.03 < calibration_error(before, targets, 15)
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
