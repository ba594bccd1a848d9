"""A project with artificial comments and a tiny encoder of any architecture, made without a network in a second."""

import shutil
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import CONFIG_MAPPING, AutoModelForSequenceClassification

from commentwise.errors import CommentwiseError
from commentwise.training.choice.evaluate import evaluate
from commentwise.training.families import catalog
from commentwise.training.finetune.export_check import narrow, shorten
from commentwise.training.params import read_params, write_params
from commentwise.training.project import Project
from commentwise.training.settings import Settings, load_settings
from commentwise.training.train import read_task

PARAMS = Path(__file__).parents[2] / "params.yaml"
COMMENTS = {"train": 360, "validation": 90, "test": 120}
SEED = 0
WORDS = {
    "negative": ["awful", "worst", "broken", "hate", "refund"],
    "neutral": ["when", "where", "minute", "song", "link"],
    "positive": ["great", "love", "thanks", "best", "lovely"],
}
"""Words that only comments with this label have, so that a tiny model can learn them."""
FILLER = ["the", "video", "this", "is", "part", "really", "so", "and", "a", "channel", "you", "it", "on", "of"]
RESERVED = 10
"""The first token ids, which no comment has: most architectures have their padding token there."""
TINY = {
    "epochs": 4,
    "learning_rate": 1e-3,
    "step_tokens": 200,
    "precision": "fp32",
}
"""Settings of families.bert, for a few dozen steps."""
NO_LIMITS = {"max_f1_loss": 1.0, "min_agreement": 0.0, "max_shift": 1.0}
"""Settings of export: whether int8 is good enough depends on the weights, and not on the architecture."""


def write_project(root: Path) -> Project:
    """Write params, a split of artificial comments, and evaluated linear candidates, which a cascade needs."""
    project, rng = Project(root), np.random.default_rng(SEED)
    for part, count in COMMENTS.items():
        project.part(part).parent.mkdir(parents=True, exist_ok=True)
        _comments(part, count, rng).to_parquet(project.part(part), index=False)
    project.raw.parent.mkdir(parents=True)
    shutil.copyfile(project.part("train"), project.raw)
    tokenizer = root / "tokenizer"
    tokenizer.mkdir()
    (tokenizer / "config.json").write_text("{}", encoding="utf-8")
    _tokenizer().save(str(tokenizer / "tokenizer.json"))
    settings = write_settings(project, tokenizer)
    for name, family in catalog.families().items():
        if family.answers_first:
            family.train(read_task(project, settings), settings.of(family), project.candidate(name))
            evaluate(project, name, settings)
    return project


def write_settings(project: Project, checkpoint: Path) -> Settings:
    """Write the project's params.yaml to train `checkpoint`, and return its settings."""
    content = read_params(PARAMS)
    content["labels"] = list(WORDS)
    content["families"]["bert"] |= {**TINY, "checkpoint": str(checkpoint)}
    content["evaluate"]["resamples"] = 100
    content["export"] = NO_LIMITS
    write_params(content, project.params)
    return load_settings(project.params)


def write_checkpoint(architecture: str, folder: Path) -> Path:
    """Write an encoder with two layers and random weights, and a tokenizer, as a hub's repository has them.

    `architecture` is a `model_type` of transformers. Raises CommentwiseError if the installed version lacks it.
    """
    if architecture not in CONFIG_MAPPING:
        raise CommentwiseError(
            f"no architecture {architecture!r} in transformers: choose from {', '.join(CONFIG_MAPPING)}"
        )
    tokenizer = _tokenizer()
    config = CONFIG_MAPPING[architecture]()
    for step in (narrow, shorten):
        try:
            step(config)
        except NotImplementedError:  # Funnel derives its number of layers from other fields
            continue
    config.vocab_size = tokenizer.get_vocab_size()
    for field, value in list(vars(config).items()):
        if field.endswith("_token_id") and isinstance(value, int) and value >= config.vocab_size:
            setattr(config, field, 0)
    torch.manual_seed(SEED)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _comments(part: str, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Comments of 2 to about 60 words; half of them have fewer than 12."""
    rows = []
    for number in range(count):
        label = list(WORDS)[number % len(WORDS)]
        words = [*rng.choice(FILLER, int(rng.lognormal(2.2, 0.7)) + 1), *rng.choice(WORDS[label], rng.integers(1, 4))]
        text = " ".join(rng.permutation(words))
        rows.append({"comment_id": f"{part}{number}", "text": text, "label": label, "group": number})
    return pd.DataFrame(rows)


def _tokenizer() -> Tokenizer:
    """A tokenizer of all words, with a special token before and after each comment."""
    special = ["<cls>", "<sep>", "<unk>"]
    names = [*(f"<reserved{number}>" for number in range(RESERVED)), *special, *FILLER, *chain(*WORDS.values())]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<cls> $A <sep>", special_tokens=[(name, vocabulary[name]) for name in special[:2]]
    )
    return tokenizer
