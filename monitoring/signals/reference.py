"""The reference: the bundle's answers to comments that it was not trained on, recorded when the bundle was built.

  commentwise reference          # of the registry's champion; without one, of artifacts/bundle

Windows of production are compared with it. Its comments have labels, so it also tells how accurate and how well
calibrated the bundle was.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from commentwise.comments.language import language_of
from commentwise.comments.traits import text_hash, traits_of, unknown_id
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json, write_json
from commentwise.models.bundle import MANIFEST, TOKENIZER, Classifier, Manifest, bundle_id, verify_files
from commentwise.models.tokens import load_tokenizer
from commentwise.monitoring.champion import bundle_in_production, split_of
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.settings import BUNDLE_HELP, Settings, read
from commentwise.monitoring.signals.rows import TRAITS, Floats, Integers, Rows, make_rows
from commentwise.training.project import HELD_OUT

MAX_ROWS = 2000
"""Comments kept. The tests' memory grows with it, and more would not sharpen a window's verdict."""
MIN_ROWS = 200
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Reference:
    """The reference of one bundle."""

    bundle_id: str
    labels: list[str]
    rows: Rows
    targets: Integers
    """Indices of the true labels, shape (rows,)."""
    vocabulary: frozenset[str]
    """The words of the comments that the bundle was trained on."""

    def new_word_shares(self, texts: Iterable[str]) -> Floats:
        """Share of each text's words that occur in no training comment; shape (texts,)."""
        return np.array([_share([word not in self.vocabulary for word in words_of(text)]) for text in texts])


class ReferenceCommand(Settings):
    """Create the reference of a bundle."""

    bundle: str | None = Field(default=None, description=BUNDLE_HELP)
    data: Path = Field(
        default=MonitoredProject().prepared,
        description="folder of the split that the bundle was trained on; if it is another, DVC's cache is searched",
    )
    reference: Path = Field(default=MonitoredProject().reference, description="file to write")


def main() -> None:
    """Create the reference and print its size."""
    settings = read(ReferenceCommand, "reference")
    project = MonitoredProject()
    create(bundle_in_production(project, settings.bundle, "reference"), settings.data, settings.reference, project.root)


def create(bundle: Path, data: Path, path: Path, root: Path = Path()) -> None:
    """Write the reference of `bundle`, from the held-out comments of the split in `data`, to `path`.

    If `data` is another split than the bundle was trained on, that one is read from the cache of the DVC repository
    `root`. Raises CommentwiseError when it is not there, or has fewer than MIN_ROWS held-out comments.
    """
    with split_of(bundle, data, root) as split:
        content = from_split(bundle, split)
    write_json(path, content)
    print(
        f"reference: {len(content['true']):,} comments and {len(content['vocabulary']):,} known words of bundle {content['bundle_id'][:12]} -> {path}",
        flush=True,
    )


def from_split(bundle: Path, data: Path) -> dict[str, Any]:
    """The content of a reference; see `create`."""
    from commentwise.training.candidate import read_part  # needs pandas, which reading a reference does not

    manifest = verify_files(bundle)
    parts = [read_part(data, part, manifest.labels) for part in HELD_OUT]
    texts, targets = [text for part in parts for text in part.texts], np.concatenate([part.targets for part in parts])
    if len(texts) < MIN_ROWS:
        raise CommentwiseError(
            f"{data} holds {len(texts)} held-out comments and a reference needs {MIN_ROWS}: add labelled comments"
        )
    chosen = np.sort(np.random.default_rng(0).permutation(len(texts))[:MAX_ROWS])
    training_texts = read_part(data, "train", manifest.labels).texts
    return content_of(bundle, [texts[index] for index in chosen], targets[chosen].tolist(), training_texts)


def content_of(
    bundle: Path, texts: Sequence[str], targets: Sequence[int], training_texts: Iterable[str]
) -> dict[str, Any]:
    """The content of a reference: the bundle's answers to `texts`, whose true labels have the indices `targets`."""
    classifier = Classifier(bundle)
    return {
        "bundle_id": bundle_id(bundle),
        "labels": classifier.manifest.labels,
        "true": list(targets),
        "probabilities": np.round(classifier.probabilities(texts), 6).tolist(),
        "signals": logged_traits(bundle, texts),
        "languages": [language_of(classifier.manifest.normalize(text)) for text in texts],
        "texts": list(texts),
        "vocabulary": sorted({word for text in training_texts for word in words_of(text)}),
    }


def logged_traits(bundle: Path, texts: Sequence[str]) -> dict[str, list[float]]:
    """The columns `TRAITS` that the log would hold for these texts."""
    manifest = Manifest.from_json(bundle / MANIFEST)
    tokenizer = load_tokenizer(bundle / TOKENIZER, manifest.max_tokens)
    unknown = unknown_id(tokenizer)
    normalized = [manifest.normalize(text) for text in texts]
    found = [
        traits_of(text, encoding.ids, encoding.word_ids, unknown)
        for text, encoding in zip(normalized, tokenizer.encode_batch(normalized), strict=True)
    ]
    return {name: [float(getattr(traits, name)) for traits in found] for name in TRAITS}


def load_reference(path: Path) -> Reference:
    """Read a reference. Raises CommentwiseError when it is missing or damaged."""
    try:
        return _reference(read_json(path))
    except FileNotFoundError:
        raise CommentwiseError(f"{path} is missing: create it with `commentwise reference`") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CommentwiseError(
            f"{path} is not a reference ({type(error).__name__}: {error}): create it again with `commentwise reference`"
        ) from None


def _reference(content: dict[str, Any]) -> Reference:
    texts = content["texts"]
    rows = make_rows(
        [0.0] * len(texts),
        [text_hash(text) for text in texts],
        np.array(content["probabilities"]),
        content["signals"],
        content.get("languages", []),  # a reference of an earlier version has none
        texts,
    )
    return Reference(
        content["bundle_id"], content["labels"], rows, np.array(content["true"]), frozenset(content["vocabulary"])
    )


def words_of(text: str) -> list[str]:
    """A text's words in lower case: runs of two or more letters."""
    return _WORD.findall(text.lower())


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


if __name__ == "__main__":
    run_command(main)
