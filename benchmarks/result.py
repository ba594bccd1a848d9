"""Types that the result files of all rooms share, and the check of a file against its type.

Every room declares what its benchmarks write in its own result.py; the writers and the report use the same types, so
that mypy catches a misspelt key, and the check catches a file that was written by something else.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NotRequired, TypeVar, cast, final

from typing_extensions import TypedDict

from commentwise.errors import CommentwiseError

Result = TypeVar("Result")

OURS = "commentwise"
"""Our own row among servers and trainers."""


FORMER_NAMES = {
    "benchmarks.serving": "benchmarks.servers",
    "benchmarks.footprint": "benchmarks.scale.footprint",
    "benchmarks.int8": "benchmarks.engines.int8",
    "families.bert.average": "families.bert.ema_decay",
}
"""Names in the commands of earlier results, and their names of today."""


class Unavailable(CommentwiseError):
    """Raised for a server or engine that cannot be measured on this machine; the message gives the reason."""


class Machine(TypedDict):
    """The machine of a run."""

    processor: str
    cores: int


class Environment(TypedDict):
    """The interpreter and the installed versions of a run."""

    python: str
    system: str
    packages: dict[str, str]
    infinity: NotRequired[list[str]]
    """In serving.json: the requirements of infinity's own environment."""


class Git(TypedDict):
    """The commit of a run; null where git does not know it."""

    commit: str | None
    dirty: list[str]
    """Files that differed from the commit."""
    serving_changed: NotRequired[list[str]]
    """In serving.json: those of the server and its benchmark."""


class Head(TypedDict):
    """How, where and from which code a result was measured."""

    command: str
    machine: Machine
    environment: Environment
    git: Git


class Interval(TypedDict):
    """A score with its 95% interval."""

    value: float
    low: float
    high: float


class Rounds(TypedDict):
    """A figure and the rounds that it summarises."""

    value: float
    rounds: list[float]


@final
class Missing(TypedDict):
    """A row that could not be measured here."""

    missing: str


@final
class Failed(TypedDict):
    """A row whose measurement failed."""

    failed: str


def current_command(command: str) -> str:
    """A recorded command with today's names of modules and parameters."""
    return re.sub(r"[\w.]+", lambda name: FORMER_NAMES.get(name[0], name[0]), command)


def parse_result(kind: type[Result], text: str, source: str) -> Result:
    """Parse the JSON of a result and check it against its type; keys that the type does not name are kept.

    `source` names the file in errors. Raises CommentwiseError when the text is not JSON or does not have that type.
    """
    from pydantic import TypeAdapter, ValidationError  # not needed to measure, only to read

    try:
        content = json.loads(text)
    except ValueError as error:
        raise CommentwiseError(f"{source} is not valid JSON ({error}): run its benchmark again") from None
    try:
        TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        # Where one of several types is expected, each adds its errors: the one that matched furthest tells most.
        worst = max(error.errors(), key=lambda found: len(found["loc"]))
        where = ".".join(_keys(content, worst["loc"])) or "the whole file"
        raise CommentwiseError(f"{source}: {where}: {worst['msg']}: run its benchmark again") from None
    return cast(Result, content)


def read_result(kind: type[Result], path: Path) -> Result:
    """Read a result file and check it against its type.

    Raises CommentwiseError naming file and key when it is not of that type, OSError when it cannot be read.
    """
    return parse_result(kind, path.read_text(encoding="utf-8"), str(path))


def _keys(content: Any, location: Sequence[int | str]) -> list[str]:
    """The keys in an error's location, without the names of the types that pydantic tried."""
    keys = []
    for place, part in enumerate(location):
        try:
            content = content[part]
        except (LookupError, TypeError):
            if place < len(location) - 1:
                continue
        keys.append(str(part))
    return keys
