"""Steps hold every comment once, fit their budget, and are the same wherever and whenever they are made."""

import numpy as np
import pytest

from commentwise.training.finetune.batches import Steps, epoch_steps, evaluation_steps, shares
from tests.training.finetune.loop_run import examples

LENGTHS = np.random.default_rng(0).integers(3, 100, size=1003)


@pytest.mark.parametrize("by_length", [True, False], ids=["by length", "random"])
def test_an_epoch_has_every_comment_once_within_the_budget(by_length: bool) -> None:
    steps = epoch_steps(LENGTHS, 500, seed=1, epoch=1, by_length=by_length)
    assert sorted(np.concatenate(steps)) == list(range(1003))
    tokens = [int(LENGTHS[step].sum()) for step in steps]
    assert max(tokens) <= 500
    assert np.mean(tokens) > 0.85 * 500


def test_steps_depend_on_the_seed_and_the_epoch_alone() -> None:
    def made(seed: int, epoch: int) -> list[list[int]]:
        return [step.tolist() for step in epoch_steps(LENGTHS, 500, seed, epoch, by_length=True)]

    assert made(1, 1) == made(1, 1)
    assert made(1, 1) != made(1, 2) != made(2, 2)


def test_steps_by_length_pad_little() -> None:
    steps = epoch_steps(LENGTHS, 500, seed=1, epoch=1, by_length=True)
    padded = sum(len(step) * LENGTHS[step].max() for step in steps)
    assert LENGTHS.sum() / padded > 0.95


def test_a_comment_longer_than_the_budget_stands_alone() -> None:
    steps = epoch_steps(np.array([600, 3, 700, 4]), 500, seed=1, epoch=1, by_length=False)
    assert sorted(len(step) for step in steps if 0 in step or 2 in step) == [1, 1]
    assert sorted(np.concatenate(steps)) == [0, 1, 2, 3]


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_shares_are_even_and_complete(processes: int) -> None:
    for step in epoch_steps(LENGTHS, 500, seed=1, epoch=1, by_length=False):
        dealt = shares(step, LENGTHS, processes, budget=120)
        assert len({len(share) for share in dealt}) == 1
        assert sorted(row for share in dealt for rows in share for row in rows) == sorted(step)
        assert all(LENGTHS[rows].sum() <= 120 for share in dealt for rows in share)


def test_more_processes_than_comments_still_all_take_part() -> None:
    steps = Steps(examples(2), [np.array([1])], process=2, processes=3, budget=100, fixed_shape=False)
    (batch,) = steps[0]
    assert steps.rows(0)[0].tolist() == []
    assert batch.weights.tolist() == [0.0]


def test_micro_batches_hold_the_tokens_of_their_comments_and_no_others() -> None:
    some = examples(50)
    steps = Steps(some, [np.arange(50)], process=0, processes=1, budget=200, fixed_shape=False)
    for rows, batch in zip(steps.rows(0), steps[0], strict=True):
        assert batch.documents.input_ids.tolist() == [token for row in rows for token in some.rows[row]]
        assert batch.targets.tolist() == some.targets[rows].tolist()
        assert batch.weights.tolist() == some.weights[rows].tolist()


def test_a_fixed_shape_is_that_of_every_micro_batch() -> None:
    some = examples(50)
    made = Steps(some, epoch_steps(some.lengths, 150, 0, 1, by_length=False), 0, 1, budget=200, fixed_shape=True)
    assert len({len(batch.documents.input_ids) for step in range(len(made)) for batch in made[step]}) == 1
    assert len({len(batch.documents.cu_seqlens) for step in range(len(made)) for batch in made[step]}) == 1
    weighed = sum(float(batch.weights.sum()) for step in range(len(made)) for batch in made[step])
    assert weighed == pytest.approx(50)


def test_evaluation_meets_every_comment_once() -> None:
    assert sorted(np.concatenate(evaluation_steps(LENGTHS, 200, processes=2))) == list(range(1003))
