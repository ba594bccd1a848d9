"""The queueing model: right where the answer is known, and near to what was measured."""

import numpy as np
import pytest

from benchmarks.scale.capacity import (
    DOCUMENT,
    END,
    PLANNED,
    RESULTS,
    START,
    Pod,
    comparison,
    measured_pod,
    pods_for,
    refused_share,
    section,
    simulate,
    usable_share,
)
from commentwise.fileio import read_json
from tests.serving.process import ROOT

STEADY = Pod(1, np.full(10, 0.01))


def test_a_load_below_what_a_steady_pod_answers_never_waits() -> None:
    outcome = simulate(STEADY, 90, 10, evenly=True)
    assert [outcome.refused_share, outcome.p50, outcome.p99] == pytest.approx([0, 0.01, 0.01])


def test_random_arrivals_wait_as_queueing_theory_says() -> None:
    """A core that is busy for a share of the time makes just that share of random arrivals wait."""
    assert simulate(STEADY, 45, 1_000).p50 == pytest.approx(0.01)
    assert simulate(STEADY, 55, 1_000).p50 > 0.0101


def test_beyond_its_speed_it_answers_at_its_speed_and_refuses_the_rest() -> None:
    outcome = simulate(STEADY, 300, 60, evenly=True)
    assert outcome.answered_per_second == pytest.approx(100, rel=0.02)
    assert outcome.refused_share == pytest.approx(2 / 3, rel=0.05)
    assert outcome.p99 <= 5.02


def test_more_cores_may_be_used_further() -> None:
    assert usable_share(Pod(8, np.full(10, 0.01))) > usable_share(STEADY, 0.05) > 0.5


def test_pods_are_counted_with_a_spare_one() -> None:
    assert pods_for(STEADY, 100 * PLANNED) == 2
    assert pods_for(STEADY, 100 * PLANNED + 1) == 3


def test_it_says_of_the_measured_server_what_was_answered_and_refused() -> None:
    results = read_json(ROOT / RESULTS)
    assert measured_pod(results).per_second == pytest.approx(results["servers"]["commentwise"]["peak_per_second"])
    for measured, outcome in comparison(results):
        assert outcome.refused_share == pytest.approx(refused_share(measured), abs=0.15)


def test_the_document_has_todays_figures() -> None:
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert "\n".join([START, "", *section(read_json(ROOT / RESULTS)), "", END]) in text
