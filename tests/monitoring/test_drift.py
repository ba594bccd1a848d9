"""False alarms, power and estimates, on comments drawn from known distributions and on the sample."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ks_2samp

from commentwise.monitoring.signals.drift import FALSE_ALARM_RATE, Detector, latest_run, power
from commentwise.monitoring.signals.performance import Estimator, baseline, realised
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.resampling import Resampled, holm, mmd, psi
from commentwise.monitoring.signals.rows import TRAITS, Rows, joined, make_rows, windows_of
from commentwise.monitoring.signals.summary import summary

LABELS = ["negative", "neutral", "positive"]
SIZE = 100


def drawn(
    rng: np.random.Generator, rows: int, unsure: float = 0.0, longer: float = 1.0, strange: float = 0.0
) -> tuple[Rows, np.ndarray]:
    """The answers of a calibrated model, and the true labels."""
    logits = rng.normal(size=(rows, 3)) * (2.5 - unsure)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = (rng.random((rows, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    traits = {
        "tokens": np.ceil(rng.lognormal(3, 0.6, rows) * longer),
        "unknown_share": (rng.random(rows) < 0.05 + strange) * 0.2,  # many ties
        "split_share": np.round(rng.beta(1 + 5 * strange, 12, rows), 2),
        "latin_share": np.ones(rows),
        "emoji_share": (rng.random(rows) < 0.1) * 0.1,
    }
    languages = rng.choice(
        ["en", "und", "es", "de", "mul", "sw"], rows, p=[0.8, 0.1, 0.06, 0.03, 0.008, 0.002]
    ).tolist()
    hashes = [f"{number:x}" for number in rng.integers(2**60, size=rows)]
    columns = {name: traits[name].tolist() for name in TRAITS}
    return make_rows(
        np.arange(rows, dtype=float).tolist(), hashes, probabilities, columns, languages, [None] * rows
    ), targets


@pytest.fixture(scope="module")
def reference() -> Reference:
    rows, targets = drawn(np.random.default_rng(1), 600)
    return Reference("b" * 64, LABELS, rows, targets, frozenset())


@pytest.fixture(scope="module")
def detector(reference: Reference) -> Detector:
    return Detector(reference, None)


def test_the_false_alarm_rate_is_at_most_the_stated_one(detector: Detector) -> None:
    rng = np.random.default_rng(2)
    verdicts = detector.judge([drawn(rng, SIZE)[0] for _ in range(200)])
    warned = sum(bool(verdict.drifted) for verdict in verdicts) / len(verdicts)
    alerted = sum(verdict.severity == "alert" for verdict in verdicts) / len(verdicts)
    print(f"200 windows like the reference: {warned:.1%} warned, {alerted:.1%} alerted")
    assert warned <= FALSE_ALARM_RATE
    assert alerted <= 0.01


@pytest.mark.parametrize("changed", [{"unsure": 1.2}, {"longer": 1.5}, {"strange": 0.3}])
def test_two_windows_that_differ_are_an_alert(detector: Detector, changed: dict[str, float]) -> None:
    rng = np.random.default_rng(3)
    verdicts = detector.judge([drawn(rng, SIZE)[0], *(drawn(rng, SIZE, **changed)[0] for _ in range(2))])
    assert [verdict.severity for verdict in verdicts] == ["none", "warn", "alert"]


def test_a_single_drifted_window_is_a_warning_that_ends_with_it(detector: Detector) -> None:
    rng = np.random.default_rng(4)
    verdicts = detector.judge([drawn(rng, SIZE, longer=2)[0], drawn(rng, SIZE)[0]])
    assert [verdict.severity for verdict in verdicts] == ["warn", "none"]


@pytest.mark.parametrize("unsure", [0.0, 0.6, 1.2])
def test_the_estimate_is_close_to_the_true_accuracy_under_covariate_shift(reference: Reference, unsure: float) -> None:
    rows, targets = drawn(np.random.default_rng(5), 2000, unsure=unsure)
    estimate = Estimator(reference).estimate(rows)
    truth = float((rows.predicted == targets).mean())
    assert estimate["accuracy"].value == pytest.approx(truth, abs=0.03)
    assert estimate["macro_f1"].value == pytest.approx(truth, abs=0.04)  # the labels are balanced


def test_the_interval_has_about_its_nominal_coverage(reference: Reference) -> None:
    rng, estimator, held = np.random.default_rng(6), Estimator(reference), []
    for _ in range(60):
        rows, targets = drawn(rng, SIZE, unsure=0.5)
        found = estimator.estimate(rows)["accuracy"]
        held.append(found.low <= (rows.predicted == targets).mean() <= found.high)
    assert np.mean(held) >= 0.88


def test_an_overconfident_model_is_corrected_by_the_reference() -> None:
    rows, targets = drawn(np.random.default_rng(7), 600)
    sharpened = rows.probabilities**3 / (rows.probabilities**3).sum(axis=1, keepdims=True)
    overconfident = replace(rows, probabilities=sharpened)
    reference = Reference("b" * 64, LABELS, overconfident, targets, frozenset())
    estimate = Estimator(reference).estimate(overconfident)["accuracy"]
    assert estimate.value == pytest.approx(baseline(reference).value, abs=0.02)
    assert sharpened.max(axis=1).mean() > baseline(reference).value + 0.1


def test_feedback_gives_the_accuracy_of_the_comments_it_is_on(reference: Reference) -> None:
    rows = reference.rows.take(slice(0, 4))
    labels = {str(rows.hashes[0]): LABELS[rows.predicted[0]], str(rows.hashes[1]): "none of them"}
    score, comments = realised(rows, labels, LABELS)
    assert score is not None
    assert (score.value, comments) == (0.5, 2)
    assert realised(rows, {}, LABELS) == (None, 0)


def test_power_grows_with_window_size_and_loss(reference: Reference) -> None:
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


def test_quantities_are_compared_by_the_kolmogorov_smirnov_statistic() -> None:
    rng = np.random.default_rng(10)
    reference, window = np.round(rng.normal(size=300), 1), np.round(rng.normal(0.3, size=50), 1)
    found = Resampled(reference, 50).test(window)
    assert found.statistic == pytest.approx(ks_2samp(window, reference).statistic)


def test_a_constant_signal_never_drifts() -> None:
    assert Resampled(np.ones(300), 50).test(np.ones(50)).p_value == 1


def test_mmd_detects_shifted_embeddings() -> None:
    rng = np.random.default_rng(8)
    here, there = rng.normal(size=(200, 8)), rng.normal(size=(60, 8)) + 0.5
    assert mmd(there, here).p_value < 0.01
    assert mmd(rng.normal(size=(60, 8)), here).p_value > 0.05


def test_windows_end_with_the_latest_comment(reference: Reference) -> None:
    windows = windows_of(reference.rows, 250)
    assert [(window.time[0], window.time[-1]) for window in windows] == [(100, 349), (350, 599)]


def test_the_summary_names_the_time_the_cause_and_the_accuracy(reference: Reference, detector: Detector) -> None:
    rng = np.random.default_rng(9)
    windows = [drawn(rng, SIZE)[0], *(drawn(rng, SIZE, longer=2)[0] for _ in range(2))]
    verdicts = detector.judge(windows)
    assert latest_run(verdicts) == 1
    estimate = Estimator(reference).estimate(joined(windows[1:]))["accuracy"]
    text = summary(verdicts[1:], reference, baseline(reference), estimate, (None, 0))
    assert text.startswith("Since 1 January 00:00: comments are longer (")
    assert "estimated accuracy" in text


def test_another_language_is_noticed_and_named(detector: Detector, reference: Reference) -> None:
    rows, _ = drawn(np.random.default_rng(12), SIZE)
    assert rows.languages is not None
    languages = np.where(np.arange(SIZE) < 20, "hi-Latn", rows.languages)  # the reference has none
    verdict = detector.test(replace(rows, languages=languages))
    assert verdict.drifted == ["language"]
    (signal,) = (signal for signal in verdict.tested if signal.name == "language")
    words = signal.describe(verdict.rows, reference, verdict.outcomes["language"])
    assert words == "20% of the comments are in hi-Latn (was 0%)"


@pytest.mark.parametrize("older", ["log", "reference"])
def test_rows_of_a_version_without_languages_leave_the_signal_out(
    reference: Reference, older: str, capsys: pytest.CaptureFixture[str]
) -> None:
    window, _ = drawn(np.random.default_rng(13), SIZE)
    if older == "log":
        window = replace(window, languages=None)
    else:
        reference = replace(reference, rows=replace(reference.rows, languages=None))
    (verdict,) = Detector(reference, None).judge([window])
    assert "language" not in verdict.outcomes
    assert "label" in verdict.outcomes
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("drift: languages are left out")
