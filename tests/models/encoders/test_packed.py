"""Packed documents get the logits and gradients of padded ones, and do not affect each other."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    RobertaConfig,
)

from commentwise.errors import CommentwiseError
from commentwise.models.encoders.attention import Kernel
from commentwise.models.encoders.classifier import StockClassifier
from commentwise.models.encoders.packed import PackedClassifier, is_packable, packed_logits
from commentwise.models.encoders.packing import Packed, Shape, pack

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")

PAD = 1
SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": PAD,
    "num_labels": 3,
}
MODERN = {**SIZES, "global_attn_every_n_layers": 2, "local_attention": 6, "reference_compile": False}
MODERN |= dict.fromkeys(["norm_bias", "attention_bias", "mlp_bias", "classifier_bias"], True)
MODERN |= {"cls_token_id": 2, "bos_token_id": 2, "sep_token_id": 3, "eos_token_id": 3}
Configure = Callable[..., PretrainedConfig]
ENCODERS: dict[str, Configure] = {
    "bert": lambda **dropout: BertConfig(**SIZES, **dropout),
    "minilm": lambda **dropout: BertConfig(**SIZES | {"num_attention_heads": 4, "num_hidden_layers": 3}, **dropout),
    "roberta": lambda **dropout: RobertaConfig(**SIZES, **dropout),
    "electra": lambda **dropout: ElectraConfig(embedding_size=24, **SIZES, **dropout),
    "distilbert": lambda attention_probs_dropout_prob, hidden_dropout_prob: DistilBertConfig(
        **SIZES,
        attention_dropout=attention_probs_dropout_prob,
        dropout=hidden_dropout_prob,
        seq_classif_dropout=hidden_dropout_prob,
    ),
    "modernbert": lambda **dropout: modernbert("cls", **dropout),
    "modernbert-mean": lambda **dropout: modernbert("mean", **dropout),
}
KERNELS: list[Kernel] = ["nested", "padded"]
every_encoder = pytest.mark.parametrize("name", ENCODERS)
every_kernel = pytest.mark.parametrize("kernel", KERNELS)


def modernbert(
    pooling: Literal["cls", "mean"], attention_probs_dropout_prob: float, hidden_dropout_prob: float
) -> PretrainedConfig:
    return ModernBertConfig(
        **MODERN,
        classifier_pooling=pooling,
        attention_dropout=attention_probs_dropout_prob,
        **dict.fromkeys(["embedding_dropout", "mlp_dropout", "classifier_dropout"], hidden_dropout_prob),
    )


def random_model(name: str, attention_dropout: float = 0.0, hidden_dropout: float = 0.0) -> PreTrainedModel:
    """A model in which every weight matters: none is zero, as biases are at first."""
    config = ENCODERS[name](attention_probs_dropout_prob=attention_dropout, hidden_dropout_prob=hidden_dropout)
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    assert isinstance(model, PreTrainedModel)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.15)
    model.train()
    return model


def random_rows(*lengths: int) -> list[list[int]]:
    torch.manual_seed(1)
    return [torch.randint(5, 50, (length,)).tolist() for length in lengths]


ROWS = random_rows(7, 1, 20, 12, 3)
SHAPE = Shape(tokens=80, documents=8, max_length=24)


def gradients(model: PreTrainedModel, logits: Tensor) -> dict[str, Tensor]:
    """Gradients by weight of a loss that depends on the documents, their order and the labels."""
    model.zero_grad()
    torch.nn.functional.cross_entropy(logits, torch.arange(len(logits)) % 3).backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def offsets(batch: Packed) -> tuple[list[int], list[int]]:
    """First and last offset of each document."""
    return batch.cu_seqlens[:-1].tolist(), batch.cu_seqlens[1:].tolist()


def word_embeddings(model: PreTrainedModel) -> list[Tensor]:
    """A list that collects the word embeddings of later forwards, with their gradients."""
    collected: list[Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, output: Tensor) -> None:
        output.retain_grad()
        collected.append(output)

    embeddings = model.get_input_embeddings()
    assert isinstance(embeddings, torch.nn.Module)
    embeddings.register_forward_hook(keep)
    return collected


@every_encoder
@every_kernel
def test_logits_and_gradients_are_those_of_the_padded_model(name: str, kernel: Kernel) -> None:
    model = random_model(name)
    expected = StockClassifier(model)(pack(ROWS))
    expected_gradients = gradients(model, expected)
    assert expected.std(dim=0).max() > 0.1  # documents differ, so that confusing them would show
    for shape in (None, SHAPE):
        logits = packed_logits(model, pack(ROWS, shape), kernel)[: len(ROWS)]
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gradients(model, logits), expected_gradients, atol=1e-5, rtol=1e-4)


@every_encoder
@every_kernel
def test_documents_do_not_affect_each_other(name: str, kernel: Kernel) -> None:
    model = random_model(name)
    before = packed_logits(model, pack(ROWS, SHAPE), kernel)
    changed = [*ROWS[:2], random_rows(18)[0], *ROWS[3:]]
    after = packed_logits(model, pack(changed, SHAPE), kernel)
    torch.testing.assert_close(after[[0, 1, 3, 4]], before[[0, 1, 3, 4]], atol=1e-6, rtol=0)
    assert (after[2] - before[2]).abs().max() > 1e-3

    embedded = word_embeddings(model)
    batch = pack(ROWS, SHAPE)
    for logits, start, end in zip(packed_logits(model, batch, kernel), *offsets(batch), strict=True):
        if start < end:
            (gradient,) = torch.autograd.grad(logits.sum(), embedded[0], retain_graph=True)
            reached = gradient.abs().sum(dim=1).nonzero().flatten().tolist()
            assert reached == list(range(start, end))


@every_encoder
def test_the_order_of_documents_does_not_matter(name: str) -> None:
    model = random_model(name)
    logits = packed_logits(model, pack(ROWS))
    torch.testing.assert_close(packed_logits(model, pack(ROWS[::-1])), logits.flip(0), atol=1e-6, rtol=0)


@every_encoder
@every_kernel
def test_the_filling_gets_no_gradient(name: str, kernel: Kernel) -> None:
    model = random_model(name)
    embedded = word_embeddings(model)
    gradient_of = gradients(model, packed_logits(model, pack(ROWS, SHAPE), kernel)[: len(ROWS)])
    assert all(gradient.isfinite().all() for gradient in gradient_of.values())
    assert not embedded[0].grad[sum(map(len, ROWS)) :].any()  # type: ignore[index]


@pytest.mark.parametrize("dropout", [{"attention_dropout": 0.5}, {"hidden_dropout": 0.5}])
@every_encoder
@every_kernel
def test_dropout_follows_the_models_mode(name: str, kernel: Kernel, dropout: dict[str, float]) -> None:
    model = random_model(name, **dropout)
    for module in model.modules():
        if "attention_dropout" in dropout and hasattr(module, "out_drop"):
            module.out_drop = torch.nn.Identity()  # ModernBERT applies the rate to the output of attention too
    batch = pack(ROWS)
    assert not packed_logits(model, batch, kernel).allclose(packed_logits(model, batch, kernel))
    model.eval()
    assert packed_logits(model, batch, kernel).equal(packed_logits(model, batch, kernel))


@every_encoder
def test_every_dropout_of_the_model_is_applied(name: str) -> None:
    model = random_model(name, hidden_dropout=0.5)
    calls: Counter[str] = Counter()
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and module.p:
            module.register_forward_hook(lambda *_, path=path: calls.update([path]))
    model(input_ids=torch.tensor(ROWS[:1]))
    expected = calls.copy()
    calls.clear()
    packed_logits(model, pack(ROWS))
    assert calls == expected != Counter()


@pytest.mark.parametrize("name", ["bert", "modernbert-mean"])
def test_batches_of_one_shape_compile_once_as_one_graph(name: str) -> None:
    torch.compiler.reset()
    model = random_model(name)
    classify = torch.compile(PackedClassifier(model), backend="aot_eager", fullgraph=True, dynamic=False)
    for rows in (ROWS, random_rows(24, 2)):
        with torch._dynamo.config.patch(error_on_recompile=rows is not ROWS):
            logits = classify(pack(rows, SHAPE))[: len(rows)]
        gradient_of = gradients(model, logits)
        expected = packed_logits(model, pack(rows))
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(gradient_of, gradients(model, expected), atol=1e-5, rtol=1e-4)


def unsupported() -> list[PretrainedConfig]:
    decoder, relative, scaled = (
        ENCODERS[name](attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0)
        for name in ("bert", "bert", "modernbert")
    )
    decoder.is_decoder = True
    relative.position_embedding_type = "relative_key"
    scaling = {"rope_type": "linear", "factor": 2.0}
    if hasattr(scaled, "rope_parameters"):
        scaled.rope_parameters["full_attention"].update(scaling)
    else:
        scaled.rope_scaling = scaling
    return [decoder, relative, scaled, GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=50)]


@pytest.mark.parametrize("number", range(4))
def test_models_with_unsupported_features_are_refused(number: int) -> None:
    model = AutoModelForSequenceClassification.from_config(unsupported()[number])
    assert not is_packable(model)
    with pytest.raises(CommentwiseError, match="use padded batches"):
        packed_logits(model, pack(ROWS))
    with pytest.raises(CommentwiseError, match="use padded batches"):
        PackedClassifier(model)
