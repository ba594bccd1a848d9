"""Label values of a source, and the labels of the settings that they mean."""

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

SCALE = ("very negative", "negative", "neutral", "positive", "very positive")
RATINGS = range(1, 11)
_WHOLE_NUMBER = re.compile(r"(-?)0*(\d+)(?:\.0*)?")


def label_text(value: Any) -> str | None:
    """A label as text in NFC, without white space around it; None for null, NaN and blank text.

    Booleans become `true` and `false`. A whole number is written without a fraction, whatever its type.

    >>> label_text(1), label_text(1.0), label_text(True), label_text(" good "), label_text("")
    ('1', '1', 'true', 'good', None)
    """
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return unicodedata.normalize("NFC", str(value)).strip() or None


class LabelReader:
    """Maps the label values of a source to `labels`, by way of `label_map` (label in the source -> label).

    Spellings are compared exactly first. Without an exact match, case and the fraction of a whole number do not count,
    unless that would be ambiguous.

    Examples
    --------
    >>> read = LabelReader(["negative", "positive"], {"0": "negative"})
    >>> read(0.0), read("0.00"), read("POSITIVE"), read("mixed")
    ('negative', 'negative', 'positive', None)
    """

    def __init__(self, labels: Sequence[str], label_map: Mapping[str, str]) -> None:
        targets = {label: label for label in labels} | dict(label_map)
        self._exact = {label_text(name): target for name, target in targets.items()}
        folded: dict[str, set[str]] = {}
        for name, target in targets.items():
            folded.setdefault(folded_label(name), set()).add(target)
        self._folded = {name: group.pop() for name, group in folded.items() if len(group) == 1}

    def __call__(self, value: Any) -> str | None:
        """The label that a value means; None for an unknown one. `value` is not null or blank."""
        text = label_text(value)
        return self._exact.get(text) or self._folded.get(folded_label(text or ""))


def folded_label(text: str) -> str:
    """A spelling without case, and of a whole number without its fraction.

    >>> folded_label("Positive"), folded_label("4.0")
    ('positive', '4')
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).strip().casefold())
    number = _WHOLE_NUMBER.fullmatch(folded)
    if not number:
        return folded
    return number[2] if number[2] == "0" else f"{number[1]}{number[2]}"


def are_ordinal(labels: Sequence[str]) -> bool:
    """Whether the names of the labels tell that they are steps of a scale, in order, as in `SCALE` or `RATINGS`.

    There must be at least three: with two, the scores of ordinal labels say nothing that accuracy does not. Numbers from 0
    upwards may be ids of classes, which have no order.

    >>> are_ordinal(["negative", "neutral", "positive"]), are_ordinal(["1", "2", "3", "4", "5"])
    (True, True)
    >>> are_ordinal(["neutral", "negative", "positive"]), are_ordinal(["0", "1", "2"]), are_ordinal(["spam", "ham"])
    (False, False, False)
    """
    names = [folded_label(label) for label in labels]
    return len(names) >= 3 and any(
        names == [step for step in scale if step in names] for scale in (SCALE, tuple(map(str, RATINGS)))
    )
