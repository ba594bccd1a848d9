"""Loading of pre-trained encoders with a new classification head."""

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from commentwise.errors import CommentwiseError, first_line
from commentwise.models.encoders.classifier import StockClassifier
from commentwise.models.encoders.packing import pack


def load_encoder(folder: Path, labels: Sequence[str]) -> PreTrainedModel:
    """Load the encoder saved in `folder` for single-label classification among `labels`.

    A head that was trained for other labels is replaced by a new one. Raises CommentwiseError if the folder has no
    encoder with which transformers can classify, or lacks weights of it.
    """
    logging.set_verbosity_error()  # a new head is intended and needs no warning
    names = dict(enumerate(labels))
    try:
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            folder,
            num_labels=len(labels),
            id2label=names,
            label2id={label: number for number, label in names.items()},
            problem_type="single_label_classification",
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, SafetensorError, UnpicklingError) as error:
        raise CommentwiseError(f"checkpoint {folder}: no encoder to classify with ({first_line(error)})") from None
    assert isinstance(model, PreTrainedModel)
    # Only the head may be new, and the pooler, which many checkpoints lack. Training a random encoder would be useless.
    new = {*loaded["missing_keys"], *(entry[0] for entry in loaded["mismatched_keys"])}
    if missing := sorted(
        name for name in new if name.startswith(f"{model.base_model_prefix}.") and "pooler" not in name
    ):
        raise CommentwiseError(
            f"checkpoint {folder}: its files lack weights for {missing[0]} and {len(missing) - 1} others; name a complete one"
        )
    return model


def set_dropout(model: PreTrainedModel, dropout: float) -> None:
    """Set the dropout of hidden states and attention weights, in place of the rates of the checkpoint."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
        for name in ("dropout_prob", "attention_dropout"):  # attention modules with a rate of their own
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, dropout)


@torch.no_grad()
def check_inputs(model: PreTrainedModel, checkpoint: str, long: Sequence[int], short: Sequence[int]) -> None:
    """Check that the model can classify a comment of the max length, `long`, and a batch of it and `short`.

    The model runs, because configurations do not tell: RoBERTa cannot use two of its `max_position_embeddings`, BART has
    two more, and models with relative positions have no limit. Raises CommentwiseError with the max length that works,
    or if the model needs a padding token and has none.
    """
    # Some architectures draw random numbers even then; training must not depend on it.
    with torch.random.fork_rng(devices=[]):
        if reason := _failure(model, long):
            raise _too_long(model, checkpoint, long, reason)
        if reason := _failure(model, long, short):
            if model.config.pad_token_id is None:
                raise CommentwiseError(
                    f"checkpoint {checkpoint!r} has no padding token, which batches need: set pad_token_id in its config.json, "
                    "or name another checkpoint"
                )
            raise CommentwiseError(f"checkpoint {checkpoint!r} cannot classify a batch of comments ({reason})")


def _too_long(model: PreTrainedModel, checkpoint: str, row: Sequence[int], reason: str) -> CommentwiseError:
    works, fails = 1, len(row)
    while fails - works > 1:
        middle = (works + fails) // 2
        if _failure(model, [*row[: middle - 1], row[-1]]):
            fails = middle
        else:
            works = middle
    if works == 1:
        return CommentwiseError(f"checkpoint {checkpoint!r} cannot classify a comment ({reason}): name another one")
    return CommentwiseError(
        f"max_tokens = {len(row)}: checkpoint {checkpoint!r} has positions for {works} tokens; set max_tokens to {works} or less"
    )


def _failure(model: PreTrainedModel, *rows: Sequence[int]) -> str:
    """The error of classifying these rows as one batch; empty if there is none."""
    try:
        StockClassifier(model)(pack(rows))
    except Exception as error:  # each architecture raises its own kinds
        return first_line(error)
    return ""
