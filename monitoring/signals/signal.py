"""The drift signals: properties of the comments whose change between reference and production is tested.

Each signal is one record in `SIGNALS`. The tests and their correction for multiple testing, the summary, the report with
its plots, report.json, MLflow and Prometheus iterate over that list and name no signal themselves.

To add a signal:

1. Write its record at the place in `SIGNALS` where the summary should mention it. `PerComment` takes a function that
   returns one value per comment; `WholeSample` takes a test of its own. Both may return None where a window lacks what
   they need, such as texts: the signal is then left out.
2. Only if the value must be known without the text, log it: add a field to `commentwise.comments.traits.Traits` and
   compute it in `traits_of`. The log has a column per field; for logs that exist, add the column in
   `commentwise.models.prediction_log`, as the next schema version. The record reads it with `logged("name")`.
   References that were created before lack it: create them again with `commentwise reference`. A value that is no
   figure, such as the language, is a column beside the traits (see `LogEntry`), an array in `Rows`, and a list in the
   reference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from commentwise.comments.language import MIXED, UNDETERMINED
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.resampling import Outcome, Resampled
from commentwise.monitoring.signals.rows import Floats, Integers, Rows
from commentwise.monitoring.signals.texts import domain_test, embedding_test

MIN_LANGUAGE_SHARE = 0.01
"""Languages with a smaller share of the reference are tested together."""

Measure = Callable[[Rows, Reference], Floats | Integers | None]
"""Returns one value per comment, shape (rows,), or None where the rows lack what it needs."""
Test = Callable[[Rows], Outcome | None]
"""Compares a window with the reference; None where the window lacks what the test needs."""


@dataclass(frozen=True)
class PerComment:
    """One value per comment; the distributions are compared, with p-values resampled from the reference.

    Quantities are compared by the Kolmogorov-Smirnov statistic, and categories by the population stability index.
    """

    measure: Measure
    categories: Callable[[Reference], int] | None = None
    """Number of categories, if `measure` returns their indices. None for quantities."""

    def values(self, rows: Rows, reference: Reference) -> Floats | None:
        """The quantity, shape (rows,); None for categories, and where it is unknown."""
        values = None if self.categories else self.measure(rows, reference)
        return None if values is None else np.asarray(values, dtype=np.float64)

    def against(self, reference: Reference, bundle: Path | None) -> Test:
        """The test of windows against `reference`."""
        expected = self.measure(reference.rows, reference)
        categories = self.categories(reference) if self.categories else 0

        @cache
        def null(size: int) -> Resampled:
            assert expected is not None
            return Resampled(expected, size, categories)

        def test(window: Rows) -> Outcome | None:
            values = self.measure(window, reference)
            return None if values is None or expected is None else null(len(window)).test(values)

        return test


@dataclass(frozen=True)
class WholeSample:
    """A two-sample test of its own, on all comments of a window at once."""

    against: Callable[[Reference, Path | None], Test]
    """Returns the test of windows against a reference. The bundle's folder is None where the bundle is not at hand."""

    def values(self, rows: Rows, reference: Reference) -> None:
        """There is no value per comment."""
        return


@dataclass(frozen=True)
class Change:
    """The difference between a window and the reference in one signal."""

    signal: "Signal"
    window: Rows
    reference: Reference
    outcome: Outcome

    @property
    def now(self) -> float:
        """Mean of the signal's values in the window."""
        return self._mean(self.window)

    @property
    def before(self) -> float:
        """Mean of the signal's values in the reference."""
        return self._mean(self.reference.rows)

    def _mean(self, rows: Rows) -> float:
        values = self.signal.method.values(rows, self.reference)
        assert values is not None, f"{self.signal.name} has no value per comment"
        return float(values.mean())


@dataclass(frozen=True)
class Signal:
    """A drift signal; see the module's docstring for how to add one."""

    name: str
    """Its name in report.json, MLflow and Prometheus."""
    title: str
    """Its name in the report's tables and plots."""
    sentence: Callable[[Change], str]
    """Describes the difference in a clause that is true of small differences too, since the report has one per signal."""
    method: PerComment | WholeSample
    """The computation of its values and the test."""

    def describe(self, window: Rows, reference: Reference, outcome: Outcome) -> str:
        """Describe the difference between a window and the reference in words."""
        return self.sentence(Change(self, window, reference, outcome))


def logged(name: str) -> Measure:
    """Read a column of the log, one of `commentwise.monitoring.signals.rows.TRAITS`."""
    return lambda rows, _: rows.traits[name]


def new_word_shares(rows: Rows, reference: Reference) -> Floats | None:
    """Share of each comment's words that do not occur in the training comments."""
    return None if rows.texts is None else reference.new_word_shares(rows.texts)


def confidence(rows: Rows, _: Reference) -> Floats:
    """Probability of the predicted label."""
    return np.asarray(rows.probabilities.max(axis=1))


def entropy(rows: Rows, _: Reference) -> Floats:
    """Entropy of the probabilities, in nats."""
    positive = np.clip(rows.probabilities, 1e-12, 1)
    return np.asarray(-(positive * np.log(positive)).sum(axis=1))


def common_languages(reference: Reference) -> list[str]:
    """The languages of the reference that are tested each on its own."""
    assert reference.rows.languages is not None
    names, counts = np.unique(reference.rows.languages, return_counts=True)
    return [str(name) for name in names[counts >= MIN_LANGUAGE_SHARE * len(reference.rows)]]


def language_groups(rows: Rows, reference: Reference) -> Integers | None:
    """Index of each comment's language among `common_languages`; the index after the last one for all others."""
    if rows.languages is None or reference.rows.languages is None:
        return None
    groups = {name: index for index, name in enumerate(common_languages(reference))}
    return np.array([groups.get(name, len(groups)) for name in rows.languages.tolist()], dtype=np.int64)


def _language_group_count(reference: Reference) -> int:
    return 0 if reference.rows.languages is None else len(common_languages(reference)) + 1


def share(words: str) -> Callable[[Change], str]:
    """A sentence on a signal between 0 and 1: "20% `words` (was 5%)"."""
    return lambda change: f"{change.now:.0%} {words} (was {change.before:.0%})"


def mean(words: str) -> Callable[[Change], str]:
    """A sentence on the mean of a signal: "`words` rose from 0.50 to 0.70"."""

    def sentence(change: Change) -> str:
        verb = "rose" if change.now > change.before else "fell"
        return f"{words} {verb} from {change.before:.2f} to {change.now:.2f}"

    return sentence


def _length(change: Change) -> str:
    word = "longer" if change.now > change.before else "shorter"
    return f"comments are {word} ({change.now:.0f} tokens, was {change.before:.0f})"


def _label(change: Change) -> str:
    """The label whose share changed most."""
    labels = change.reference.labels
    now, before = (
        np.bincount(rows.predicted, minlength=len(labels)) / len(rows)
        for rows in (change.window, change.reference.rows)
    )
    index = int(np.abs(now - before).argmax())
    return f"{now[index]:.0%} are classified as {labels[index]} (was {before[index]:.0%})"


def _language(change: Change) -> str:
    """The language whose share changed most."""
    now, before = change.window.languages, change.reference.rows.languages
    assert now is not None
    assert before is not None
    shares = {str(name): ((now == name).mean(), (before == name).mean()) for name in np.union1d(now, before)}
    name = max(shares, key=lambda name: abs(shares[name][0] - shares[name][1]))
    words = {UNDETERMINED: "in no language that can be told", MIXED: "mixed with another language"}.get(
        name, f"in {name}"
    )
    return f"{shares[name][0]:.0%} of the comments are {words} (was {shares[name][1]:.0%})"


def _domain(change: Change) -> str:
    words = ", ".join(repr(word) for word in change.outcome.words[:5])
    by = f", by words such as {words}" if words else ""
    return f"a classifier separates the comments from the reference with AUC {change.outcome.statistic:.2f} (chance is 0.5){by}"


def _embedding(change: Change) -> str:
    return f"the embeddings are at a squared MMD of {change.outcome.statistic:.3f} from those of the reference"


SIGNALS: list[Signal] = [
    Signal(
        "new_words",
        "Words not seen in training",
        share("of the words do not occur in the training comments"),
        PerComment(new_word_shares),
    ),
    Signal("domain", "Domain classifier (AUC)", _domain, WholeSample(domain_test)),
    Signal("language", "Languages (PSI)", _language, PerComment(language_groups, categories=_language_group_count)),
    Signal("tokens", "Length in tokens", _length, PerComment(logged("tokens"))),
    Signal("latin_share", "Latin letters", share("of the letters are Latin"), PerComment(logged("latin_share"))),
    Signal(
        "unknown_share",
        "Unknown tokens",
        share("of the tokens are unknown to the tokenizer"),
        PerComment(logged("unknown_share")),
    ),
    Signal(
        "split_share", "Split words", share("of the words are split into pieces"), PerComment(logged("split_share"))
    ),
    Signal("emoji_share", "Emoji", share("of the characters are emoji"), PerComment(logged("emoji_share"))),
    Signal(
        "label",
        "Labels (PSI)",
        _label,
        PerComment(lambda rows, _: rows.predicted, categories=lambda reference: len(reference.labels)),
    ),
    Signal("embedding", "Embeddings (squared MMD)", _embedding, WholeSample(embedding_test)),
    Signal("confidence", "Confidence", mean("the mean confidence"), PerComment(confidence)),
    Signal("entropy", "Entropy of the probabilities", mean("the mean entropy"), PerComment(entropy)),
]
"""All signals, the most informative first: the summary mentions the first ones that drifted, in this order."""


def measured(rows: Rows, reference: Reference) -> dict[str, Floats]:
    """The values, shape (rows,), of every signal that has a quantity per comment and is known for these rows."""
    values = {signal.name: signal.method.values(rows, reference) for signal in SIGNALS}
    return {name: found for name, found in values.items() if found is not None}
