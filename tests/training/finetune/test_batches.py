"""Steps contain every comment once, fit the token budget, and depend on the seed and the epoch only."""

import numpy as np
import pytest

from commentwise.training.finetune.batches import Steps, epoch_steps, evaluation_steps, shares
from tests.training.finetune.loop_run import examples

LENGTHS = np.random.default_rng(0).integers(3, 100, size=1003)


@pytest.mark.parametrize("by_length", [True, False], ids=["by length", "random"])
def test_an_epoch_contains_every_comment_once_within_the_budget(by_length: bool) -> None:
    steps = epoch_steps(LENGTHS, 500, seed=1, epoch=1, by_length=by_length)
    assert sorted(np.concatenate(steps)) == list(range(1003))
    tokens = [int(LENGTHS[step].sum()) for step in steps]
    assert max(tokens) <= 500
    assert np.mean(tokens) > 0.85 * 500


def test_steps_depend_on_the_seed_and_the_epoch_only() -> None:
    def steps(seed: int, epoch: int) -> list[list[int]]:
        return [step.tolist() for step in epoch_steps(LENGTHS, 500, seed, epoch, by_length=True)]

    assert steps(1, 1) == steps(1, 1)
    assert steps(1, 1) != steps(1, 2) != steps(2, 2)


def test_steps_by_length_need_little_padding() -> None:
    steps = epoch_steps(LENGTHS, 500, seed=1, epoch=1, by_length=True)
    padded = sum(len(step) * LENGTHS[step].max() for step in steps)
    assert LENGTHS.sum() / padded > 0.95


def test_a_comment_longer_than_the_budget_gets_its_own_step() -> None:
    steps = epoch_steps(np.array([600, 3, 700, 4]), 500, seed=1, epoch=1, by_length=False)
    assert sorted(len(step) for step in steps if 0 in step or 2 in step) == [1, 1]
    assert sorted(np.concatenate(steps)) == [0, 1, 2, 3]


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_shares_have_the_same_number_of_micro_batches_and_contain_all_comments(processes: int) -> None:
    for step in epoch_steps(LENGTHS, 500, seed=1, epoch=1, by_length=False):
        split = shares(step, LENGTHS, processes, budget=120)
        assert len({len(share) for share in split}) == 1
        assert sorted(row for share in split for rows in share for row in rows) == sorted(step)
        assert all(LENGTHS[rows].sum() <= 120 for share in split for rows in share)


def test_a_process_without_a_comment_gets_one_of_weight_0() -> None:
    steps = Steps(examples(2), [np.array([1])], process=2, processes=3, budget=100, fixed_shape=False)
    (batch,) = steps[0]
    assert steps.rows(0)[0].tolist() == []
    assert batch.weights.tolist() == [0.0]


def test_micro_batches_contain_the_tokens_of_their_comments_and_no_others() -> None:
    comments = examples(50)
    steps = Steps(comments, [np.arange(50)], process=0, processes=1, budget=200, fixed_shape=False)
    for rows, batch in zip(steps.rows(0), steps[0], strict=True):
        assert batch.documents.input_ids.tolist() == [token for row in rows for token in comments.rows[row]]
        assert batch.targets.tolist() == comments.targets[rows].tolist()
        assert batch.weights.tolist() == comments.weights[rows].tolist()


def test_all_micro_batches_have_the_fixed_shape() -> None:
    comments = examples(50)
    steps = Steps(
        comments, epoch_steps(comments.lengths, 150, 0, 1, by_length=False), 0, 1, budget=200, fixed_shape=True
    )
    assert len({len(batch.documents.input_ids) for step in range(len(steps)) for batch in steps[step]}) == 1
    assert len({len(batch.documents.cu_seqlens) for step in range(len(steps)) for batch in steps[step]}) == 1
    total_weight = sum(float(batch.weights.sum()) for step in range(len(steps)) for batch in steps[step])
    assert total_weight == pytest.approx(50)


def test_evaluation_steps_contain_every_comment_once() -> None:
    assert sorted(np.concatenate(evaluation_steps(LENGTHS, 200, processes=2))) == list(range(1003))
