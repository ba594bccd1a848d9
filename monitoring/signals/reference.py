"""The reference: how the bundle answers comments it was not trained on, from the time it was made.

  python -m commentwise.monitoring.signals.reference          # from artifacts/bundle and data/prepared

Windows of production are compared with it. Its comments have labels, so it also says how good and how well calibrated
the bundle was.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from commentwise.comments.normalize import normalize
from commentwise.comments.traits import text_hash, traits_of, unknown_id
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.models.bundle import TOKENIZER, Classifier, bundle_id, verify_files
from commentwise.models.tokens import load_tokenizer
from commentwise.monitoring.settings import REFERENCE, Settings, read
from commentwise.monitoring.signals.rows import LOGGED, Floats, Rows, make_rows

MOST_ROWS = 2000
"""Comments kept; the statistics' memory grows with it, and more make no window's verdict better."""
LEAST_ROWS = 200
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Reference:
    """The reference of one bundle."""

    bundle_id: str
    labels: list[str]
    rows: Rows
    true: NDArray[np.int64]
    """Numbers of the right labels, shape (rows,)."""
    vocabulary: frozenset[str]
    """The words the bundle was trained on."""

    def new_word_shares(self, texts: Iterable[str]) -> Floats:
        """Of each text's words, the share that stand in no comment the bundle was trained on; shape (texts,)."""
        return np.array([_share([word not in self.vocabulary for word in words_of(text)]) for text in texts])

    def completed(self, rows: Rows) -> Rows:
        """The rows with the signal `new_words`, where their texts are known."""
        if rows.texts is None or "new_words" in rows.signals:
            return rows
        return rows.with_signal("new_words", self.new_word_shares(rows.texts))


class ReferenceCommand(Settings):
    """Make the reference of a bundle."""

    bundle: Path = Field(default=Path("artifacts/bundle"), description="folder of the bundle")
    data: Path = Field(default=Path("data/prepared"), description="folder of the split the bundle was trained on")
    reference: Path = Field(default=REFERENCE, description="the file to write")


def main() -> None:
    """Make the reference and say what it is made of."""
    settings = read(ReferenceCommand, "reference")
    content = make(settings.bundle, settings.data)
    write_json(settings.reference, content)
    rows = len(content["true"])
    print(
        f"reference: {rows:,} comments and {len(content['vocabulary']):,} known words of bundle {content['bundle_id'][:12]} -> {settings.reference}"
    )


def make(bundle: Path, data: Path) -> dict[str, Any]:
    """The reference's content, from the held-out comments of the split.

    Raises CommentwiseError when there are fewer than LEAST_ROWS of them, or the bundle was trained on another split.
    """
    from commentwise.training.candidate import (  # need pandas and git, which reading a reference does not
        HELD_OUT,
        read_part,
    )
    from commentwise.training.provenance import folder_md5

    manifest = verify_files(bundle)
    trained_on = manifest.data.get("prepared_md5")
    if trained_on and trained_on != folder_md5(data):
        raise CommentwiseError(
            f"{data} is not the split that {bundle} was trained on: get both of one commit with `dvc checkout`"
        )
    parts = [read_part(part, manifest.labels, data) for part in HELD_OUT]
    texts, true = [text for part in parts for text in part.texts], np.concatenate([part.true for part in parts])
    if len(texts) < LEAST_ROWS:
        raise CommentwiseError(
            f"{data} holds {len(texts)} held-out comments and a reference needs {LEAST_ROWS}: add labelled comments"
        )
    chosen = np.sort(np.random.default_rng(0).permutation(len(texts))[:MOST_ROWS])
    known = read_part("train", manifest.labels, data).texts
    return content_of(bundle, [texts[index] for index in chosen], true[chosen].tolist(), known)


def content_of(bundle: Path, texts: Sequence[str], true: Sequence[int], known: Iterable[str]) -> dict[str, Any]:
    """A reference's content: how the bundle answers `texts`, whose right labels have the numbers `true`.

    `known` are the texts that the bundle was trained on.
    """
    classifier = Classifier(bundle)
    return {
        "bundle_id": bundle_id(bundle),
        "labels": classifier.manifest.labels,
        "true": list(true),
        "probabilities": np.round(classifier.probabilities(texts), 6).tolist(),
        "signals": logged_signals(bundle, texts),
        "texts": list(texts),
        "vocabulary": sorted({word for text in known for word in words_of(text)}),
    }


def logged_signals(bundle: Path, texts: Sequence[str]) -> dict[str, list[float]]:
    """What the log would say of these texts, by signal."""
    tokenizer = load_tokenizer(bundle / TOKENIZER, read_json(bundle / "manifest.json")["max_tokens"])
    unknown = unknown_id(tokenizer)
    normalized = [normalize(text) for text in texts]
    found = [
        traits_of(text, encoding.ids, encoding.word_ids, unknown)
        for text, encoding in zip(normalized, tokenizer.encode_batch(normalized), strict=True)
    ]
    return {name: [float(getattr(signals, name)) for signals in found] for name in LOGGED}


def load_reference(path: Path) -> Reference:
    """Read a reference. Raises CommentwiseError when there is none, or it is damaged."""
    try:
        return _reference(read_json(path))
    except FileNotFoundError:
        raise CommentwiseError(
            f"{path} is missing: make it with `python -m commentwise.monitoring.signals.reference`"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CommentwiseError(
            f"{path} is no reference ({type(error).__name__}: {error}): make it with `python -m commentwise.monitoring.signals.reference`"
        ) from None


def _reference(content: dict[str, Any]) -> Reference:
    texts = content["texts"]
    rows = make_rows(
        [0.0] * len(texts),
        [text_hash(text) for text in texts],
        np.array(content["probabilities"]),
        content["signals"],
        texts,
    )
    reference = Reference(
        content["bundle_id"], content["labels"], rows, np.array(content["true"]), frozenset(content["vocabulary"])
    )
    return Reference(**{**vars(reference), "rows": rows.with_signal("new_words", reference.new_word_shares(texts))})


def words_of(text: str) -> list[str]:
    """A text's words in lower case: runs of two or more letters."""
    return _WORD.findall(text.lower())


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


if __name__ == "__main__":
    run_command(main)
