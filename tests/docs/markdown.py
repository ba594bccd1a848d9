"""The documents of the repository, and the code in them."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}.*\n)+", re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")


def files(*patterns: str) -> list[str]:
    """Names of the files in the repository, ignored ones left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted({name for name in listed if (ROOT / name).is_file()})


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """Markdown without its code."""
    return SPAN.sub("", INDENTED.sub("", FENCED.sub("", text)))


def blocks(text: str) -> Iterator[str]:
    """Markdown's blocks of code other than Python."""
    for language, block in FENCED.findall(text):
        if language != "python":
            yield block
    yield from INDENTED.findall(FENCED.sub("", text))


def spans(text: str) -> list[str]:
    """Markdown's code within sentences."""
    found: list[str] = SPAN.findall(INDENTED.sub("", FENCED.sub("", text)))
    return found


DOCUMENTS = files("*.md")
