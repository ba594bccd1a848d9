"""The tasks of benchmarks.training: a model, and comments as input_ids with their targets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

MAX_TOKENS = 128
SEED = 0
SIZES = {"minilm": (6, 384, 12), "base": (12, 768, 12)}
"""Layers, hidden size and heads of all-MiniLM-L6 and bert-base."""


@dataclass(frozen=True)
class Comments:
    """Comments with their targets."""

    rows: list[list[int]]
    """The input_ids of each comment."""
    targets: NDArray[np.int64]
    """Shape (comments,)."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each comment, shape (comments,)."""
        return np.array([len(row) for row in self.rows])


@dataclass(frozen=True)
class Task:
    """A model to train for a number of epochs; without a test part it is not scored."""

    model: PreTrainedModel
    train: Comments
    validation: Comments
    test: Comments | None
    epochs: int


def synthetic(size: str, count: int) -> Task:
    """A model with random weights, and random comments for one epoch."""
    layers, hidden, heads = SIZES[size]
    torch.manual_seed(SEED)
    model = BertForSequenceClassification(
        BertConfig(
            num_hidden_layers=layers,
            hidden_size=hidden,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            num_labels=3,
        )
    )
    train = random_comments(count)
    return Task(model, train, Comments(train.rows[:32], train.targets[:32]), None, 1)


def random_comments(count: int) -> Comments:
    """Comments of random tokens with realistic lengths: median 27 tokens, mean 37, maximum 128."""
    rng = np.random.default_rng(SEED)
    lengths = np.clip(rng.lognormal(np.log(27), 0.8, size=count).round().astype(int), 4, MAX_TOKENS)
    return Comments([rng.integers(1000, 30000, size=length).tolist() for length in lengths], np.arange(count) % 3)


def real(folder: Path, checkpoint: str, epochs: int) -> Task:
    """A checkpoint and the prepared comments in `folder`; needs all packages of the pipeline."""
    from commentwise.models.checkpoint import resolve_checkpoint, tokenizer_json
    from commentwise.models.encoders.loading import load_encoder
    from commentwise.models.tokens import encode, tokenizer_from_text
    from commentwise.training.candidate import read_part
    from commentwise.training.project import PARTS, Project
    from commentwise.training.settings import load_settings

    labels = load_settings(Project().params).labels
    tokenizer = tokenizer_from_text(tokenizer_json(checkpoint), MAX_TOKENS)
    parts = {name: read_part(folder, name, labels) for name in PARTS}
    comments = {name: Comments(encode(tokenizer, part.texts), part.targets) for name, part in parts.items()}
    torch.manual_seed(SEED)
    model = load_encoder(resolve_checkpoint(checkpoint), labels)
    return Task(model, comments["train"], comments["validation"], comments["test"], epochs)
