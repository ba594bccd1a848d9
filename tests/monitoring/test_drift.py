"""False alarms, power and estimates, on comments drawn from known distributions and on the sample."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from commentwise.monitoring.signals.drift import STATED, Detector, latest_run, power
from commentwise.monitoring.signals.performance import Estimator, baseline, realised
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.resampling import Resampled, holm, mmd, psi
from commentwise.monitoring.signals.rows import LOGGED, Rows, joined, make_rows, windows_of
from commentwise.monitoring.signals.summary import summary

LABELS = ["negative", "neutral", "positive"]
SIZE = 100


def drawn(
    rng: np.random.Generator, rows: int, unsure: float = 0.0, longer: float = 1.0, strange: float = 0.0
) -> tuple[Rows, np.ndarray]:
    """Comments as a calibrated model would answer them, and their right labels."""
    logits = rng.normal(size=(rows, 3)) * (2.5 - unsure)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    true = (rng.random((rows, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    logged = {
        "tokens": np.ceil(rng.lognormal(3, 0.6, rows) * longer),
        "unknown_share": (rng.random(rows) < 0.05 + strange) * 0.2,  # nearly all the same: many ties
        "split_share": np.round(rng.beta(1 + 5 * strange, 12, rows), 2),
        "latin_share": np.ones(rows),
        "emoji_share": (rng.random(rows) < 0.1) * 0.1,
    }
    names = [f"{number:x}" for number in rng.integers(2**60, size=rows)]
    signals = {name: logged[name].tolist() for name in LOGGED}
    return make_rows(np.arange(rows, dtype=float).tolist(), names, probabilities, signals, [None] * rows), true


@pytest.fixture(scope="module")
def reference() -> Reference:
    rows, true = drawn(np.random.default_rng(1), 600)
    return Reference("b" * 64, LABELS, rows, true, frozenset())


@pytest.fixture(scope="module")
def detector(reference: Reference) -> Detector:
    return Detector(reference, None)


def test_windows_like_the_reference_are_taken_for_drifted_no_more_often_than_stated(detector: Detector) -> None:
    rng = np.random.default_rng(2)
    verdicts = detector.judge([drawn(rng, SIZE)[0] for _ in range(200)])
    warned = sum(bool(verdict.drifted) for verdict in verdicts) / len(verdicts)
    alerted = sum(verdict.severity == "alert" for verdict in verdicts) / len(verdicts)
    print(f"200 windows like the reference: {warned:.1%} warned, {alerted:.1%} alerted; stated: {STATED:.0%}")
    assert warned <= STATED
    assert alerted <= 0.01


@pytest.mark.parametrize("changed", [{"unsure": 1.2}, {"longer": 1.5}, {"strange": 0.3}])
def test_two_windows_that_differ_are_an_alert(detector: Detector, changed: dict[str, float]) -> None:
    rng = np.random.default_rng(3)
    verdicts = detector.judge([drawn(rng, SIZE)[0], *(drawn(rng, SIZE, **changed)[0] for _ in range(2))])
    assert [verdict.severity for verdict in verdicts] == ["none", "warn", "alert"]


def test_one_window_alone_is_a_warning_and_then_it_is_over(detector: Detector) -> None:
    rng = np.random.default_rng(4)
    verdicts = detector.judge([drawn(rng, SIZE, longer=2)[0], drawn(rng, SIZE)[0]])
    assert [verdict.severity for verdict in verdicts] == ["warn", "none"]


@pytest.mark.parametrize("unsure", [0.0, 0.6, 1.2])
def test_the_estimate_is_close_to_the_truth_when_other_comments_come(reference: Reference, unsure: float) -> None:
    rows, true = drawn(np.random.default_rng(5), 2000, unsure=unsure)
    estimate = Estimator(reference).estimate(rows)
    truth = float((rows.predicted == true).mean())
    assert estimate["accuracy"].value == pytest.approx(truth, abs=0.03)
    assert estimate["macro_f1"].value == pytest.approx(truth, abs=0.04)  # the labels are alike in number


def test_the_interval_holds_the_truth_about_as_often_as_it_says(reference: Reference) -> None:
    rng, estimator, held = np.random.default_rng(6), Estimator(reference), []
    for _ in range(60):
        rows, true = drawn(rng, SIZE, unsure=0.5)
        found = estimator.estimate(rows)["accuracy"]
        held.append(found.low <= (rows.predicted == true).mean() <= found.high)
    assert np.mean(held) >= 0.88


def test_an_overconfident_model_is_corrected_by_the_reference() -> None:
    rows, true = drawn(np.random.default_rng(7), 600)
    sharpened = rows.probabilities**3 / (rows.probabilities**3).sum(axis=1, keepdims=True)
    logged = {name: rows.signals[name].tolist() for name in LOGGED}
    overconfident = make_rows(rows.time.tolist(), rows.hashes.tolist(), sharpened, logged, [None] * 600)
    reference = Reference("b" * 64, LABELS, overconfident, true, frozenset())
    estimate = Estimator(reference).estimate(overconfident)["accuracy"]
    assert estimate.value == pytest.approx(baseline(reference).value, abs=0.02)
    assert sharpened.max(axis=1).mean() > baseline(reference).value + 0.1


def test_feedback_counts_what_was_right(reference: Reference) -> None:
    rows = reference.rows.take(slice(0, 4))
    labels = {str(rows.hashes[0]): LABELS[rows.predicted[0]], str(rows.hashes[1]): "none of them"}
    score, comments = realised(rows, labels, LABELS)
    assert score is not None
    assert (score.value, comments) == (0.5, 2)
    assert realised(rows, {}, LABELS) == (None, 0)


def test_larger_windows_and_larger_losses_are_noticed_more_often(reference: Reference) -> None:
    curves = power(reference, [30, 300], [0.04, 0.1], trials=20)
    assert curves["0.1"][-1] > 0.9
    assert curves["0.04"][-1] > curves["0.04"][0]
    assert sum(curves["0.1"]) > sum(curves["0.04"])


def test_holm_adjusts_step_by_step() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_psi_is_zero_for_equal_shares_and_grows() -> None:
    even, tilted = np.array([100, 100]), np.array([150, 50])
    assert psi(even, even) == pytest.approx(0)
    assert psi(tilted, even) > psi(np.array([110, 90]), even) > 0


def test_the_distance_of_quantities_is_kolmogorovs() -> None:
    rng = np.random.default_rng(10)
    reference, window = np.round(rng.normal(size=300), 1), np.round(rng.normal(0.3, size=50), 1)
    found = Resampled(reference, 50).test(window)
    assert found.statistic == pytest.approx(ks_2samp(window, reference).statistic)


def test_a_signal_that_never_varies_never_alarms() -> None:
    assert Resampled(np.ones(300), 50).test(np.ones(50)).p_value == 1


def test_embeddings_of_another_place_are_noticed() -> None:
    rng = np.random.default_rng(8)
    here, there = rng.normal(size=(200, 8)), rng.normal(size=(60, 8)) + 0.5
    assert mmd(there, here).p_value < 0.01
    assert mmd(rng.normal(size=(60, 8)), here).p_value > 0.05


def test_windows_are_the_latest_comments(reference: Reference) -> None:
    windows = windows_of(reference.rows, 250)
    assert [(window.time[0], window.time[-1]) for window in windows] == [(100, 349), (350, 599)]


def test_the_summary_says_since_when_and_why(reference: Reference, detector: Detector) -> None:
    rng = np.random.default_rng(9)
    windows = [drawn(rng, SIZE)[0], *(drawn(rng, SIZE, longer=2)[0] for _ in range(2))]
    verdicts = detector.judge(windows)
    assert latest_run(verdicts) == 1
    estimate = Estimator(reference).estimate(joined(windows[1:]))["accuracy"]
    words = summary(verdicts[1:], reference, baseline(reference), estimate, (None, 0))
    assert words.startswith("Since 1 January 00:00: comments are longer (")
    assert "estimated accuracy" in words
