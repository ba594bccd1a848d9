"""The queueing model: exact where the answer is known, and close to the measurement."""

import numpy as np
import pytest

from benchmarks.result import read_result
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
from benchmarks.servers.result import ServingResult, measured_servers
from tests.serving.process import ROOT

STEADY = Pod(1, np.full(10, 0.01))


def test_a_load_below_the_peak_of_a_steady_pod_never_waits() -> None:
    outcome = simulate(STEADY, 90, 10, evenly=True)
    assert [outcome.refused_share, outcome.p50, outcome.p99] == pytest.approx([0, 0.01, 0.01])


def test_random_arrivals_wait_as_queueing_theory_says() -> None:
    """The share of random arrivals that wait equals the share of time in which a core is busy."""
    assert simulate(STEADY, 45, 1_000).p50 == pytest.approx(0.01)
    assert simulate(STEADY, 55, 1_000).p50 > 0.0101


def test_above_its_peak_it_answers_at_its_peak_and_refuses_the_rest() -> None:
    outcome = simulate(STEADY, 300, 60, evenly=True)
    assert outcome.answered_per_second == pytest.approx(100, rel=0.02)
    assert outcome.refused_share == pytest.approx(2 / 3, rel=0.05)
    assert outcome.p99 <= 5.02


def test_more_cores_allow_a_larger_share_of_the_peak() -> None:
    assert usable_share(Pod(8, np.full(10, 0.01))) > usable_share(STEADY, 0.05) > 0.5


def test_pods_include_a_spare_one() -> None:
    assert pods_for(STEADY, 100 * PLANNED) == 2
    assert pods_for(STEADY, 100 * PLANNED + 1) == 3


def test_the_model_agrees_with_the_measured_server() -> None:
    result = read_result(ServingResult, ROOT / RESULTS)
    peak = measured_servers(result["servers"])["commentwise"]["peak_per_second"]
    assert measured_pod(result).per_second == pytest.approx(peak)
    for measured, outcome in comparison(result):
        assert outcome.refused_share == pytest.approx(refused_share(measured), abs=0.15)


def test_the_document_is_up_to_date() -> None:
    text = (ROOT / DOCUMENT).read_text(encoding="utf-8")
    assert "\n".join([START, "", *section(read_result(ServingResult, ROOT / RESULTS)), "", END]) in text
