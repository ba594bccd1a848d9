"""Rows of JSON: one object per line, an array of objects, or documents over several lines. Dumps of YouTube comments too."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any, TextIO

from commentwise.comments.formats.dumps import DUMPS, dump_of
from commentwise.comments.formats.rows import PEEKED_ROWS, Row, Table, is_unicode, legible, peeked
from commentwise.errors import CommentwiseError

MAX_LEVELS = 100
"""Nesting depth of a JSON value; Python's reader and writer fail at about a thousand."""
PIECE_CHARACTERS = 2**16
MAX_VALUE = 2**28
"""Characters of one value of an array or document, which is held in memory."""

Values = Iterator[tuple[int, str, dict[str, Any], str]]
"""Number, text, object and reason why there is none."""

_SPACE = re.compile(r"[\s\ufeff]*")
_BETWEEN = re.compile(r"[\s,]*")


def read_json(stream: TextIO, name: str, position: Callable[[], int], form: str | None) -> Table:
    """The table in a stream of text. `form` is a dump's format, "jsonl" for rows as they are, None to tell it apart."""
    values = _values(stream, name)
    first = list(islice(values, 1))
    dump = DUMPS.get(form or "") if form else dump_of(first[0][2]) if first else None
    rows = _rows(chain(first, values), name, dump)
    columns, read = peeked(islice(rows, PEEKED_ROWS))
    return Table(columns, chain(read, rows), position)


def _rows(values: Values, name: str, dump: Any) -> Iterator[Row]:
    if dump is None:
        for number, raw, value, reason in values:
            yield Row(name, number, legible(raw), value, reason)
        return
    number = 0
    for place, raw, value, reason in values:
        comments = [] if reason else dump(value)
        if comments is None:
            reason = f"no comment in the form of the first: value {place}"
        for row in comments or ([{}] if reason else []):
            number += 1
            yield Row(name, number, row or legible(raw), row, reason)


def _values(stream: TextIO, name: str) -> Values:
    number = 1
    first = stream.readline().lstrip("\ufeff")
    while first and not first.strip():
        first, number = stream.readline(), number + 1
    if first.lstrip().startswith("["):
        return _streamed(first, stream, name)
    if first.rstrip().endswith(("{", "[", ",")) and json_object(first)[1]:
        second = stream.readline()
        if json_object(second)[1]:  # a document over several lines, not a line with a fault
            return _streamed(first + second, stream, name)
        return _lines(chain([first, second], stream), number)
    return _lines(chain([first], stream), number)


def _lines(lines: Iterator[str], number: int) -> Values:
    for place, line in enumerate(lines, start=number):
        raw = line.strip()
        if raw:
            yield (place, raw, *json_object(raw))


def _streamed(text: str, stream: TextIO, name: str) -> Values:
    """The objects of arrays, or documents one after the other. Raises CommentwiseError where one ends in a fault."""
    decoder = json.JSONDecoder()
    at = number = read = 0
    depth = 0
    size = PIECE_CHARACTERS
    while True:
        at = (_BETWEEN if depth else _SPACE).match(text, at).end()  # type: ignore[union-attr]  # it always matches
        if at == len(text):
            more = stream.read(PIECE_CHARACTERS)
            read, text, at = read + at, more, 0
            if more:
                continue
            if depth:
                raise CommentwiseError(f"{name} ends within an array, after value {number}: fetch it again")
            return
        if text[at] in "[]" and (not depth or text[at] == "]"):
            depth += 1 if text[at] == "[" else -1
            at += 1
            if depth < 0:
                raise CommentwiseError(f"{name} is not valid JSON at character {read + at}: fix it")
            continue
        try:
            value, end = decoder.raw_decode(text, at)
            complete = end < len(text) or text[end - 1] in '}]"'
            fault = ""
        except json.JSONDecodeError as error:
            complete = not error.msg.startswith("Unterminated") and error.pos < len(text) - 20
            fault = f"{error.msg} at character {read + error.pos}"
        except (ValueError, RecursionError) as error:  # a number is too long, or nesting too deep
            complete, fault = True, str(error)
        if not complete and len(text) - at < MAX_VALUE and (more := stream.read(size)):
            read, text, at, size = read + at, text[at:] + more, 0, size * 2
            continue
        if fault:
            raise CommentwiseError(f"{name} is not valid JSON after value {number} ({fault}): fix it")
        size = PIECE_CHARACTERS
        number += 1
        raw = text[at:end]
        yield (number, raw, *_checked(value, raw))
        at = end


def json_object(raw: str) -> tuple[dict[str, Any], str]:
    """The object in a line, or the reason why there is none."""
    if not is_unicode(raw):
        return {}, "not UTF-8"
    try:
        value = json.loads(raw)
    except json.JSONDecodeError as error:
        return {}, f"invalid JSON: {error.msg} at character {error.pos}"
    except (ValueError, RecursionError) as error:
        return {}, f"invalid JSON: {error}"
    return _checked(value, raw)


def _checked(value: Any, raw: str) -> tuple[dict[str, Any], str]:
    if not isinstance(value, dict):
        return {}, f"no JSON object: a JSON {type(value).__name__} instead of an object"
    if raw.count("[") + raw.count("{") > MAX_LEVELS and _levels(value) > MAX_LEVELS:
        return {}, f"invalid JSON: JSON with more than {MAX_LEVELS} levels"
    if not raw.isascii() and not is_unicode(raw):
        return {}, "not UTF-8"
    if "\\u" in raw and not is_unicode(json.dumps(value, ensure_ascii=False)):
        return {}, "not Unicode: a lone surrogate, which is not a character"
    return value, ""


def _levels(value: Any) -> int:
    """The nesting depth of lists and objects."""
    levels = 0
    inside = [value]
    while containers := [each for each in inside if isinstance(each, list | dict)]:
        levels += 1
        inside = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    return levels
