"""Comments are tokenised once, then read from the cache."""

from pathlib import Path

import pytest

from commentwise.models.checkpoint import tokenizer_json
from commentwise.models.tokens import encode, tokenizer_from_text
from commentwise.training.finetune import encoded as module
from commentwise.training.finetune.encoded import encoded
from tests.checkpoints import sample_texts

STORE = Path("tokens")


def test_comments_are_tokenised_once_and_cached(work: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, texts = tokenizer_json(str(checkpoint)), sample_texts(1200)
    expected = encode(tokenizer_from_text(text, 24), texts)
    assert [row.tolist() for row in encoded(STORE, text, 24, texts)] == expected
    monkeypatch.setattr(module, "encode", lambda *_: pytest.fail("tokenised again"))
    again = encoded(STORE, text, 24, texts)
    assert len(again) == 1200
    assert [again[row].tolist() for row in (0, 999, 1000, 1199)] == [expected[row] for row in (0, 999, 1000, 1199)]
    assert len(list(STORE.iterdir())) == 1


def test_another_max_length_or_text_is_tokenised_again(work: Path, checkpoint: Path) -> None:
    text = tokenizer_json(str(checkpoint))
    assert max(len(row) for row in encoded(STORE, text, 8, ["a video " * 20])) == 8
    assert max(len(row) for row in encoded(STORE, text, 16, ["a video " * 20])) == 16
    assert len(encoded(STORE, text, 16, ["a video", "b"])) == 2
    assert len(list(STORE.iterdir())) == 3
