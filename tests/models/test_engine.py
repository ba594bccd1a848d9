from pathlib import Path

import numpy as np
import pytest

from commentwise.models.engine import Engine, padded
from commentwise.models.probabilities import softmax, softmax_of_one
from tests.tiny import GRAPH

ROWS = [[2, 4, 3], [2, 7, 7, 11, 3], [2, 3]]


def test_io_binding_gives_the_same_logits(tiny_bundle: Path) -> None:
    """I/O binding as on a GPU, here with CPU memory."""
    with Engine(tiny_bundle / GRAPH) as engine:
        np.testing.assert_array_equal(engine._bound(padded(ROWS)), engine.batch_logits(ROWS))


def test_order_is_kept_and_padding_has_no_effect(tiny_bundle: Path) -> None:
    with Engine(tiny_bundle / GRAPH) as engine:
        engine.warm_up([(1, 8), (4, 32)])
        alone = [engine.batch_logits([row])[0] for row in ROWS]
        np.testing.assert_allclose(engine.batch_logits(ROWS), alone, atol=1e-6)
        np.testing.assert_array_equal(engine.logits(ROWS), alone)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_softmax_of_one_row_is_that_of_many(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 10, (50, 3))
    expected = softmax(logits, temperature)
    np.testing.assert_allclose([softmax_of_one(row, temperature) for row in logits.tolist()], expected, rtol=1e-14)
