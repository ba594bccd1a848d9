"""Sequence classifiers of transformers on packed documents.

The forwards of transformers expect padded rows, and the ways around that change with its versions. The names of a
model's submodules do not change, since checkpoints use them. So each forward here calls the submodules itself: same
weights, same dropouts, same logits, for transformers 4.57 and 5.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from commentwise.errors import CommentwiseError
from commentwise.models.encoders.attention import Kernel, attention, document_numbers
from commentwise.models.encoders.packing import Packed


class PackedClassifier(nn.Module):
    """A classifier of packed documents as a module, for DDP, FSDP and torch.compile.

    Wrap it as a whole: the forwards of the layers are not called, nor hooks on them, as gradient checkpointing or FSDP
    by layer would need.
    """

    def __init__(self, model: PreTrainedModel, kernel: Kernel = "auto") -> None:
        super().__init__()
        if not is_packable(model):
            raise _not_packable(model)
        self.model = model
        self.kernel = kernel

    def forward(self, batch: Packed) -> Tensor:
        """Logits of shape (documents, labels)."""
        return packed_logits(self.model, batch, self.kernel)


def is_packable(model: PreTrainedModel) -> bool:
    """True if `packed_logits` supports the model; other models need padded batches."""
    return type(model).__name__ in _FORWARDS and _is_plain(model.config)


def packed_logits(model: PreTrainedModel, batch: Packed, kernel: Kernel = "auto") -> Tensor:
    """Logits of shape (documents, labels), equal to those of `model` on padded documents to float tolerance.

    Dropout follows the modules of the model, except that the varlen kernel has none for attention weights. Raises
    CommentwiseError if the model is not packable or the kernel cannot run.
    """
    if not is_packable(model):
        raise _not_packable(model)
    attend = partial(attention, cu_seqlens=batch.cu_seqlens, max_length=batch.max_length, kernel=kernel)
    return _FORWARDS[type(model).__name__](model, batch, attend)


def _not_packable(model: PreTrainedModel) -> CommentwiseError:
    known = ", ".join(name.removesuffix("ForSequenceClassification") for name in _FORWARDS)
    return CommentwiseError(
        f"{type(model).__name__}: cannot classify packed documents, only plain encoders can ({known}); use padded batches"
    )


def _is_plain(config: Any) -> bool:
    """True if the model uses no feature that its forward here lacks."""
    parameters = getattr(config, "rope_parameters", None)  # since transformers 5
    ropes = list(parameters.values()) if parameters else [getattr(config, "rope_scaling", None)]
    return (
        not getattr(config, "is_decoder", False)
        and getattr(config, "position_embedding_type", "absolute") == "absolute"
        and all(not rope or rope.get("rope_type", rope.get("type")) == "default" for rope in ropes)
    )


class _Attend(Protocol):
    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *,
        first_only: bool = False,
        window: int | None = None,
        dropout: float = 0.0,
    ) -> Tensor: ...


def _bert(model: Any, batch: Packed, attend: _Attend) -> Tensor:
    first = _bert_layers(model.bert, _embed(model.bert.embeddings, batch), batch, attend)
    logits: Tensor = model.classifier(model.dropout(model.bert.pooler(first[:, None])))
    return logits


def _roberta(model: Any, batch: Packed, attend: _Attend) -> Tensor:
    # Positions start after that of the padding token.
    hidden = _embed(model.roberta.embeddings, batch, first_position=model.config.pad_token_id + 1)
    first = _bert_layers(model.roberta, hidden, batch, attend)
    logits: Tensor = model.classifier(first[:, None])
    return logits


def _electra(model: Any, batch: Packed, attend: _Attend) -> Tensor:
    hidden = _embed(model.electra.embeddings, batch)
    if hasattr(model.electra, "embeddings_project"):
        hidden = model.electra.embeddings_project(hidden)
    first = _bert_layers(model.electra, hidden, batch, attend)
    logits: Tensor = model.classifier(first[:, None])
    return logits


def _distilbert(model: Any, batch: Packed, attend: _Attend) -> Tensor:
    hidden = _embed(model.distilbert.embeddings, batch)
    layers = model.distilbert.transformer.layer
    for number, layer in enumerate(layers, start=1):
        part, ffn, last = layer.attention, layer.ffn, number == len(layers)
        queried = _first(hidden, batch) if last else hidden
        query, key, value = part.q_lin(queried), part.k_lin(hidden), part.v_lin(hidden)
        query, key, value = (_heads(states, model.config) for states in (query, key, value))
        context = attend(query, key, value, first_only=last, dropout=_rate(part.dropout))
        attended = layer.sa_layer_norm(part.out_lin(context.flatten(1)) + queried)
        change = ffn.dropout(ffn.lin2(ffn.activation(ffn.lin1(attended))))
        hidden = layer.output_layer_norm(change + attended)
    logits: Tensor = model.classifier(model.dropout(F.relu(model.pre_classifier(hidden))))
    return logits


def _modernbert(model: Any, batch: Packed, attend: _Attend) -> Tensor:
    config, body = model.config, model.model
    size = config.hidden_size // config.num_attention_heads
    rotations = {local: _rotations(batch.position_ids, _rope_theta(config, local), size) for local in (False, True)}
    hidden = body.embeddings.drop(body.embeddings.norm(body.embeddings.tok_embeddings(batch.input_ids)))
    for number, layer in enumerate(body.layers):
        part, local = layer.attn, _is_local(config, number)
        query, key, value = part.Wqkv(layer.attn_norm(hidden)).unflatten(-1, (3, -1, size)).unbind(1)
        context = attend(
            _rotate(query, *rotations[local]),
            _rotate(key, *rotations[local]),
            value,
            window=config.local_attention // 2 if local else None,
            dropout=part.attention_dropout if part.training else 0.0,
        )
        hidden = hidden + part.out_drop(part.Wo(context.flatten(1)))
        hidden = hidden + layer.mlp(layer.mlp_norm(hidden))
    pool = _mean if config.classifier_pooling == "mean" else _first
    logits: Tensor = model.classifier(model.drop(model.head(pool(body.final_norm(hidden), batch))))
    return logits


_FORWARDS: dict[str, Callable[[Any, Packed, _Attend], Tensor]] = {
    "BertForSequenceClassification": _bert,
    "RobertaForSequenceClassification": _roberta,
    "ElectraForSequenceClassification": _electra,
    "DistilBertForSequenceClassification": _distilbert,
    "ModernBertForSequenceClassification": _modernbert,
}


def _embed(embeddings: Any, batch: Packed, first_position: int = 0) -> Tensor:
    hidden = embeddings.word_embeddings(batch.input_ids)
    hidden = hidden + embeddings.position_embeddings(batch.position_ids + first_position)
    if hasattr(embeddings, "token_type_embeddings"):
        hidden = hidden + embeddings.token_type_embeddings.weight[0]
    embedded: Tensor = embeddings.dropout(embeddings.LayerNorm(hidden))
    return embedded


def _bert_layers(body: Any, hidden: Tensor, batch: Packed, attend: _Attend) -> Tensor:
    """The last hidden state of the first token of each document, shape (documents, hidden_size)."""
    for number, layer in enumerate(body.encoder.layer, start=1):
        part, last = layer.attention.self, number == len(body.encoder.layer)
        queried = _first(hidden, batch) if last else hidden  # the other tokens of the last layer are not used
        query, key, value = part.query(queried), part.key(hidden), part.value(hidden)
        query, key, value = (_heads(states, body.config) for states in (query, key, value))
        context = attend(query, key, value, first_only=last, dropout=_rate(part.dropout))
        attended: Tensor = layer.attention.output(context.flatten(1), queried)
        hidden = layer.output(layer.intermediate(attended), attended)
    return hidden


def _heads(hidden: Tensor, config: Any) -> Tensor:
    """Split (tokens, hidden_size) to (tokens, heads, head_size)."""
    heads: Tensor = hidden.unflatten(-1, (-1, config.hidden_size // config.num_attention_heads))
    return heads


def _first(hidden: Tensor, batch: Packed) -> Tensor:
    """The first token of each document; an arbitrary token for an empty one."""
    return hidden.index_select(0, batch.cu_seqlens[:-1].clamp(max=len(hidden) - 1))


def _mean(hidden: Tensor, batch: Packed) -> Tensor:
    """The mean of the tokens of each document, computed in fp32; zeros for an empty one."""
    lengths = batch.cu_seqlens.diff()
    sums = torch.zeros(len(lengths), hidden.shape[1], device=hidden.device)
    sums = sums.index_add(0, document_numbers(batch.cu_seqlens, len(hidden)), hidden.float())
    return (sums / lengths.clamp(min=1)[:, None]).to(hidden.dtype)


def _rate(dropout: nn.Dropout) -> float:
    return dropout.p if dropout.training else 0.0


def _is_local(config: Any, number: int) -> bool:
    """True if layer `number` uses sliding-window attention."""
    if types := getattr(config, "layer_types", None):  # since transformers 5
        return bool(types[number] == "sliding_attention")
    return bool(number % config.global_attn_every_n_layers)


def _rope_theta(config: Any, local: bool) -> float:
    """Base of the rotary position embedding (https://arxiv.org/abs/2104.09864)."""
    if parameters := getattr(config, "rope_parameters", None):  # since transformers 5
        return float(parameters["sliding_attention" if local else "full_attention"]["rope_theta"])
    own = config.local_rope_theta if local else None
    return float(config.global_rope_theta if own is None else own)


def _rotations(position_ids: Tensor, theta: float, size: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angles of each position, fp32 of shape (tokens, 1, size / 2)."""
    frequencies = theta ** -(torch.arange(0, size, 2, device=position_ids.device) / size)
    angles = (position_ids[:, None] * frequencies)[:, None]
    return angles.cos(), angles.sin()


def _rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate each pair of components of a head, one from either half, by the angle of its position."""
    left, right = heads.float().chunk(2, dim=-1)
    return torch.cat([left * cosine - right * sine, right * cosine + left * sine], dim=-1).to(heads.dtype)
