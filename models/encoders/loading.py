"""Loading a pre-trained encoder with a fresh classification head."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from commentwise.errors import CommentwiseError


def load_encoder(folder: Path, labels: Sequence[str]) -> PreTrainedModel:
    """Load the encoder saved in `folder` for single-label classification among `labels`.

    A head that was trained for other labels is replaced by a fresh one. Raises CommentwiseError when the folder holds
    no encoder that transformers can classify with.
    """
    logging.set_verbosity_error()  # that the head is new is what we ask for, not a warning
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
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CommentwiseError(
            f"checkpoint {folder}: no encoder to classify with ({str(error).strip().splitlines()[0]})"
        ) from None
    assert isinstance(model, PreTrainedModel)
    # Only the head may be new; many checkpoints lack a pooler too. A random encoder would train, and be useless.
    fresh = {*loaded["missing_keys"], *(entry[0] for entry in loaded["mismatched_keys"])}
    if lost := sorted(
        name for name in fresh if name.startswith(f"{model.base_model_prefix}.") and "pooler" not in name
    ):
        raise CommentwiseError(
            f"checkpoint {folder}: its files hold no weights for {lost[0]} and {len(lost) - 1} others; name a complete one"
        )
    return model


def set_dropout(model: PreTrainedModel, dropout: float) -> None:
    """Drop this share of hidden states and attention weights in training, whatever the checkpoint says."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
        for name in ("dropout_prob", "attention_dropout"):  # where attention keeps a rate of its own
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, dropout)
