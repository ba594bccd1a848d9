"""Measure how well `commentwise.comments.language` tells languages apart, by length and by language.

  python -m benchmarks.language            # prints the tables
  python -m benchmarks.language --write    # and writes them into docs/training.md

The comments are those of data/sample/multilingual.jsonl, which carry their language, normalised as models read them.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.document import replace_section
from commentwise.comments import language
from commentwise.comments.normalize import normalize
from commentwise.errors import run_command

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data/sample/multilingual.jsonl"
DOCUMENT = ROOT / "docs/training.md"
START, END = "<!-- languages: written by `python -m benchmarks.language --write` -->", "<!-- /languages -->"
LENGTHS = (10, 20, 40, 80)
"""Upper bounds in characters; the last group has longer comments."""
ACCEPTED = {"es-en": {"mul"}, "fil-en": {"mul"}}
"""Answers that are right for a code-mixed comment. Others than these and the language itself are wrong."""


@dataclass(frozen=True)
class Told:
    """A comment and the answer to it."""

    language: str
    characters: int
    answer: str

    @property
    def outcome(self) -> str:
        """right, undetermined or wrong."""
        if self.answer in ACCEPTED.get(self.language, {self.language}):
            return "right"
        return "undetermined" if self.answer == language.UNDETERMINED else "wrong"


def main() -> None:
    """Measure, print the tables, and write them if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write the tables into {DOCUMENT.relative_to(ROOT)}")
    arguments = parser.parse_args()
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    texts = [normalize(row["text"]) for row in rows]
    language.load()
    start = time.process_time()
    answers = [language.language_of(text) for text in texts]
    microseconds = (time.process_time() - start) / len(texts) * 1e6
    told = [Told(row["language"], len(text), answer) for row, text, answer in zip(rows, texts, answers, strict=True)]
    lines = tables(told)
    print("\n".join(lines), f"\n{microseconds:.0f} µs of CPU time per comment")
    if arguments.write:
        replace_section(DOCUMENT, START, END, lines)


def tables(told: Sequence[Told]) -> list[str]:
    """The outcomes by length, of comments in one language, and by language, as Markdown."""
    one = [each for each in told if each.language not in ACCEPTED]
    lines = ["| characters | comments | right | undetermined | wrong |", "|---|---|---|---|---|"]
    for low, high in zip((0, *LENGTHS), (*LENGTHS, None), strict=True):
        group = [each for each in one if each.characters > low and (high is None or each.characters <= high)]
        lines.append(_row(f"{low + 1} to {high}" if high else f"more than {low}", group))
    lines += [_row("all", one), "", "| language | comments | right | undetermined | wrong | mistaken for |"]
    lines.append("|---|---|---|---|---|---|")
    for tag in sorted({each.language for each in told}):
        group = [each for each in told if each.language == tag]
        mistakes = Counter(each.answer for each in group if each.outcome == "wrong")
        names = ", ".join(f"{answer} ({count})" for answer, count in mistakes.most_common(3))
        lines.append(f"{_row(tag, group)} {names} |")
    return lines


def _row(name: str, group: Iterable[Told]) -> str:
    outcomes = Counter(each.outcome for each in group)
    total = max(1, outcomes.total())
    shares = " | ".join(f"{outcomes[outcome] / total:.1%}" for outcome in ("right", "undetermined", "wrong"))
    return f"| {name} | {outcomes.total()} | {shares} |"


if __name__ == "__main__":
    run_command(main)
