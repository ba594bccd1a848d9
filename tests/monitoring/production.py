"""A small production without a server: a reference of the tiny bundle, and a log of its answers."""

import uuid
from pathlib import Path

import numpy as np

from commentwise.comments.traits import unknown_id
from commentwise.fileio import write_json
from commentwise.models.bundle import TOKENIZER, Classifier, bundle_id
from commentwise.models.prediction_log import connect, insert_predictions, prepare
from commentwise.models.tokens import load_tokenizer
from commentwise.monitoring.signals.reference import content_of
from commentwise.serving.log.entry import LogEntry
from tests.tiny import MAX_TOKENS, NEGATIVE, NEUTRAL, POSITIVE

DAY = 86_400.0
START = 1_780_000_000.0
WINDOW = 50


class Production:
    """A folder with a reference and a log."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder, self.bundle = folder, bundle
        self.reference, self.out = folder / "reference.json", folder / "out"
        self.url = f"sqlite:///{folder / 'predictions.db'}"
        self._rng = np.random.default_rng(1)
        self._logged = 0
        texts = self.usual(300)
        write_json(self.reference, content_of(bundle, texts, [self.label(text) for text in texts], texts))

    @property
    def flags(self) -> list[str]:
        """The flags with which a command analyses this production."""
        named = {"prediction-log": self.url, "reference": self.reference, "bundle": self.bundle, "out": self.out}
        return [part for name, value in (named | {"window": WINDOW}).items() for part in (f"--{name}", str(value))]

    def usual(self, count: int) -> list[str]:
        """Comments like those of the reference, all distinct."""
        return [" ".join(self._words(6)) for _ in range(count)]

    def different(self, count: int) -> list[str]:
        """Longer comments, about something else."""
        return [" ".join([*self._words(14), "liquidity", "rebalance"]) for _ in range(count)]

    def label(self, text: str) -> int:
        """Index of the true label: in four of five comments that of most of its words."""
        words = text.split()
        majority = 1 + int(np.sign(sum(word in POSITIVE for word in words) - sum(word in NEGATIVE for word in words)))
        return majority if self._rng.random() < 0.8 else int(self._rng.integers(3))

    def log(self, texts: list[str], keep_text: bool = True) -> None:
        """Log the bundle's answers as the server does, an hour apart."""
        tokenizer = load_tokenizer(self.bundle / TOKENIZER, MAX_TOKENS)
        classifier, unknown, rows = Classifier(self.bundle), unknown_id(tokenizer), []
        for text, answer in zip(texts, classifier.predict(texts), strict=True):
            self._logged += 1
            encoding = tokenizer.encode(text)
            entry = LogEntry(
                id=uuid.uuid4().hex,
                time=START + 3600 * self._logged,
                request_id=str(self._logged),
                position=0,
                bundle_id=bundle_id(self.bundle),
                text=text,
                token_ids=encoding.ids,
                word_ids=encoding.word_ids,
                unknown_id=unknown,
                truncated=False,
                language="",
                label=answer.label,
                labels=classifier.manifest.labels,
                probabilities=list(answer.probabilities.values()),
                seconds=0.001,
            )
            rows.append(entry.row(keep_text))
        engine = connect(self.url)
        prepare(engine)
        with engine.begin() as connection:
            insert_predictions(connection, rows)
        engine.dispose()

    def _words(self, count: int) -> list[str]:
        known = self._rng.choice([*NEGATIVE, *POSITIVE, *NEUTRAL[:7]], count)
        return [*known, f"n{self._rng.integers(10**9)}"]
