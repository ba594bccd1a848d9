"""The learning-rate schedule, layer-wise learning rates, and the moving average."""

import pytest
import torch

from commentwise.training.finetune.recipe import EMA, learning_rate_factor, parameter_groups
from tests.training.finetune.loop_run import model, recipe


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_learning_rate_rises_to_its_peak_and_decays_to_zero(schedule: str) -> None:
    factors = [learning_rate_factor(share / 100, 0.1, schedule) for share in range(101)]
    assert factors[0] == 0
    assert factors[:11] == sorted(factors[:11])
    assert max(factors) == factors[10] == 1
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0)


def test_without_warm_up_the_learning_rate_starts_at_its_peak() -> None:
    assert learning_rate_factor(0, 0, "linear") == 1


def test_layers_near_the_input_get_a_lower_learning_rate() -> None:
    encoder = model()
    groups = parameter_groups(encoder, recipe(layer_decay=0.5, learning_rate=0.8))
    rate = {id(weight): group["peak"] for group in groups for weight in group["params"]}
    decay = {id(weight): group["weight_decay"] for group in groups for weight in group["params"]}
    by_name = dict(encoder.named_parameters())
    for name, expected in (
        ("classifier.weight", 0.8),
        ("bert.pooler.dense.weight", 0.8),
        ("bert.encoder.layer.1.output.dense.weight", 0.4),
        ("bert.encoder.layer.0.output.dense.weight", 0.2),
        ("bert.embeddings.word_embeddings.weight", 0.1),
    ):
        assert rate[id(by_name[name])] == pytest.approx(expected), name
        assert decay[id(by_name[name])] == 0.01
    assert decay[id(by_name["bert.encoder.layer.0.output.LayerNorm.weight"])] == 0
    assert sum(len(group["params"]) for group in groups) == len(by_name)


def test_the_average_follows_the_weights_and_replaces_them_inside_the_block() -> None:
    line = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(line.weight)
    ema = EMA(line, decay=0.5)
    for step, value in enumerate((1.0, 2.0), start=100):
        torch.nn.init.constant_(line.weight, value)
        ema.update(step)
    with ema.applied():
        assert line.weight.item() == 0.5 * (0.5 * 0 + 0.5 * 1) + 0.5 * 2
    assert line.weight.item() == 2
