"""Loading a pre-trained encoder with a fresh classification head."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from models.errors import CommentwiseError


def load_encoder(folder: Path, labels: Sequence[str]) -> PreTrainedModel:
    """Load the encoder saved in `folder` for single-label classification among `labels`.

    A head that was trained for other labels is replaced by a fresh one. Raises CommentwiseError when the folder holds
    no encoder that transformers can classify with.
    """
    logging.set_verbosity_error()  # that the head is new is what we ask for, not a warning
    names = dict(enumerate(labels))
    try:
        model = AutoModelForSequenceClassification.from_pretrained(
            folder,
            num_labels=len(labels),
            id2label=names,
            label2id={label: number for number, label in names.items()},
            problem_type="single_label_classification",
            ignore_mismatched_sizes=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, KeyError) as error:
        raise CommentwiseError(
            f"checkpoint {folder}: no encoder to classify with ({str(error).strip().splitlines()[0]})"
        ) from None
    assert isinstance(model, PreTrainedModel)
    return model
