"""Checkpoints: the tokenizer of one, as candidates and bundles keep it."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from commentwise.models.checkpoint import tokenizer_json
from commentwise.models.tokens import encode, tokenizer_from_text
from tests.checkpoints import sample_texts, write_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), sample_texts(200))


def save_with(path: Path, padding: bool, truncation: bool) -> None:
    tokenizer = Tokenizer.from_file(str(path))
    if padding:
        tokenizer.enable_padding(length=128)
    if truncation:
        tokenizer.enable_truncation(8)
    tokenizer.save(str(path))


@pytest.mark.parametrize(("padding", "truncation"), [(True, True), (True, False), (False, True)])
def test_padding_and_truncation_of_the_checkpoint_are_left_out(
    checkpoint: Path, padding: bool, truncation: bool
) -> None:
    path = checkpoint / "tokenizer.json"
    plain = path.read_text(encoding="utf-8")
    save_with(path, padding, truncation)
    try:
        text = tokenizer_json(str(checkpoint))
    finally:
        path.write_text(plain, encoding="utf-8")
    assert json.loads(text) == json.loads(plain)
    # A program that knows nothing of commentwise loads the file and gets the same token ids.
    texts = ["good video", "the best tutorial about this that I have seen in years, thank you so much"]
    elsewhere = Tokenizer.from_str(text)
    assert [elsewhere.encode(text).ids for text in texts] == encode(tokenizer_from_text(plain, 128), texts)


def test_a_tokenizer_without_padding_and_truncation_is_kept_byte_for_byte(checkpoint: Path) -> None:
    assert tokenizer_json(str(checkpoint)) == (checkpoint / "tokenizer.json").read_text(encoding="utf-8")
