"""Loading of pre-trained encoders with a new classification head."""

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
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise CommentwiseError(
            f"checkpoint {folder}: no encoder to classify with ({str(error).strip().splitlines()[0]})"
        ) from None
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
