"""What the contenders of benchmarks.training train: a model, and comments as token ids with their labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

MAX_TOKENS = 128
SEED = 0
SIZES = {"minilm": (6, 384, 12), "base": (12, 768, 12)}
"""Layers, hidden size and heads of all-MiniLM-L6 and of bert-base."""


@dataclass(frozen=True)
class Comments:
    """Token ids and true label of each comment."""

    rows: list[list[int]]
    true: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each comment."""
        return np.array([len(row) for row in self.rows])


@dataclass(frozen=True)
class Task:
    """The model to train for `epochs` passes; without a test part nothing is scored."""

    model: PreTrainedModel
    train: Comments
    validation: Comments
    test: Comments | None
    epochs: int


def synthetic(size: str, count: int) -> Task:
    """Random weights, and made-up comments that are read once."""
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
    train = made_up(count)
    return Task(model, train, Comments(train.rows[:32], train.true[:32]), None, 1)


def made_up(count: int) -> Comments:
    """Comments as long as real ones: median 27 tokens, mean 37, cut at 128."""
    rng = np.random.default_rng(SEED)
    lengths = np.clip(rng.lognormal(np.log(27), 0.8, size=count).round().astype(int), 4, MAX_TOKENS)
    return Comments([rng.integers(1000, 30000, size=length).tolist() for length in lengths], np.arange(count) % 3)


def real(folder: Path, checkpoint: str, epochs: int) -> Task:
    """The prepared comments in `folder` and a checkpoint. Needs what the pipeline needs."""
    from commentwise.models.checkpoint import resolve_checkpoint, tokenizer_json
    from commentwise.models.encoders.loading import load_encoder
    from commentwise.models.tokens import encode, tokenizer_from_text
    from commentwise.training.candidate import read_part
    from commentwise.training.settings import load_settings

    labels = load_settings().labels
    tokenizer = tokenizer_from_text(tokenizer_json(checkpoint), MAX_TOKENS)
    parts = {name: read_part(name, labels, folder) for name in ("train", "validation", "test")}
    comments = {name: Comments(encode(tokenizer, part.texts), part.true) for name, part in parts.items()}
    torch.manual_seed(SEED)
    model = load_encoder(resolve_checkpoint(checkpoint), labels)
    return Task(model, comments["train"], comments["validation"], comments["test"], epochs)
