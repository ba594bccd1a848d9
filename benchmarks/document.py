"""Documents with a section that a program writes."""

from collections.abc import Sequence
from pathlib import Path

from commentwise.errors import CommentwiseError
from commentwise.fileio import write_text


def replace_section(path: Path, start: str, end: str, lines: Sequence[str]) -> None:
    """Replace the lines between the comments `start` and `end`. Raises CommentwiseError if these are not in the file once."""
    text = path.read_text(encoding="utf-8")
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise CommentwiseError(
            f"{path} needs the line {start} and after it the line {end}, each once: add them where the figures belong"
        )
    before, rest = text.split(start)
    write_text(path, before + "\n".join([start, "", *lines, "", end]) + rest.split(end)[1])
