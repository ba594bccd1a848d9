"""Tiny checkpoints: a word-piece tokenizer and a BERT with random weights."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "comments.jsonl"


def sample_texts(rows: int) -> list[str]:
    with SAMPLE.open(encoding="utf-8") as stream:
        return [json.loads(line)["text"] for _, line in zip(range(rows), stream, strict=False)]


def write_checkpoint(folder: Path, texts: Iterable[str], hidden: int = 32) -> Path:
    """Write a random two-layer BERT with a vocabulary learned from `texts`, in the format of a hub checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(texts)
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * hidden,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def _tokenizer(texts: Iterable[str]) -> Tokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=1500, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer
