"""Token ids of comments, cached on disk and memory-mapped."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import datasets
import numpy as np
from numpy.typing import NDArray

from commentwise.comments.normalize import NORMALIZATION_VERSION
from commentwise.fileio import atomic_folder
from commentwise.models.tokens import encode, tokenizer_from_text

datasets.disable_progress_bars()  # they would overwrite the progress bar of training

PIECE = 10_000
"""Comments per call of the tokenizer."""


class EncodedComments(Sequence[NDArray[np.int32]]):
    """Token ids of each comment, in memory-mapped Arrow files."""

    def __init__(self, folder: Path) -> None:
        column = datasets.Dataset.load_from_disk(str(folder)).data.column("input_ids")
        self._pieces = [(piece.offsets.to_numpy(), piece.values.to_numpy()) for piece in column.chunks]
        self._starts = np.cumsum([0, *(len(piece) for piece in column.chunks)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> NDArray[np.int32]:  # type: ignore[override]
        piece = int(np.searchsorted(self._starts, row, side="right")) - 1
        offsets, values = self._pieces[piece]
        position = row - self._starts[piece]
        return np.asarray(values[offsets[position] : offsets[position + 1]])


def encoded(store: Path, tokenizer_text: str, max_tokens: int, texts: Sequence[str]) -> EncodedComments:
    """Tokenise `texts`, truncated to `max_tokens`, or read the result of an earlier call from the cache `store`."""
    key = hashlib.sha256(f"{NORMALIZATION_VERSION} {max_tokens} {tokenizer_text}".encode())
    for text in texts:
        key.update(text.encode() + b"\0")
    folder = store / key.hexdigest()[:32]
    if not folder.exists():
        tokenizer = tokenizer_from_text(tokenizer_text, max_tokens)

        def rows() -> Iterator[dict[str, list[int]]]:
            for start in range(0, len(texts), PIECE):
                for ids in encode(tokenizer, texts[start : start + PIECE]):
                    yield {"input_ids": ids}

        features = datasets.Features({"input_ids": datasets.List(datasets.Value("int32"))})
        with atomic_folder(folder) as new:
            datasets.Dataset.from_list(list(rows()), features=features).save_to_disk(str(new))
    return EncodedComments(folder)
