"""Before training, a checkpoint is checked for the max length of comments and for batches."""

import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from commentwise.errors import CommentwiseError
from commentwise.models.encoders.loading import check_inputs

SMALL = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
POSITIONS = {"max_position_embeddings": 66}


def bert() -> PreTrainedModel:
    return BertForSequenceClassification(BertConfig(**SMALL, **POSITIONS))


def roberta() -> PreTrainedModel:
    return RobertaForSequenceClassification(RobertaConfig(**SMALL, **POSITIONS))


def deberta() -> PreTrainedModel:
    relative = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["c2p", "p2c"]}
    return DebertaV2ForSequenceClassification(DebertaV2Config(**SMALL, **POSITIONS, **relative))


def gpt2(**options: int) -> PreTrainedModel:
    return GPT2ForSequenceClassification(GPT2Config(vocab_size=99, n_embd=32, n_layer=1, n_head=2, **options))


def check(model: PreTrainedModel, tokens: int) -> None:
    check_inputs(model.eval(), "some/name", [2] + [5] * (tokens - 2) + [3], [2, 5, 3])


@pytest.mark.parametrize(("make", "positions"), [(bert, 66), (roberta, 64)])
@pytest.mark.parametrize("above", [1, 2, 40])
def test_comments_longer_than_the_positions_are_refused(make: type, positions: int, above: int) -> None:
    model = make()
    check(model, positions)
    message = rf"max_tokens = {positions + above}: checkpoint 'some/name' has positions for {positions} tokens"
    with pytest.raises(CommentwiseError, match=message):
        check(model, positions + above)


def test_relative_positions_have_no_limit() -> None:
    check(deberta(), 200)


def test_a_model_without_a_padding_token_is_refused() -> None:
    with pytest.raises(CommentwiseError, match=r"^checkpoint 'some/name' has no padding token, .*pad_token_id"):
        check(gpt2(), 20)
    check(gpt2(pad_token_id=0), 20)


def test_checking_draws_no_random_numbers() -> None:
    model = bert()
    state = torch.random.get_rng_state()
    check(model, 20)
    assert torch.equal(state, torch.random.get_rng_state())
