"""The changes of aliases: recorded with the registered model when they happen, because MLflow knows only the present.

Each change is one tag of the registered model: its name holds the time, its value the rest as JSON. A change by other means,
such as MLflow's user interface, is not recorded; it shows because the next change starts from another version.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient

from commentwise.training.provenance import author
from commentwise.training.registry.versions import CHAMPION, DECISION_TAG

CHANGE_TAG = "commentwise.alias."
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
MAX_REASON = 2_000
"""Characters; a database may hold no more than 5,000 in a tag of a registered model."""


@dataclass(frozen=True)
class Change:
    """An alias was set to a version."""

    time: datetime
    alias: str
    version: int
    before: int | None
    """The version that had the alias just before; the same version where it was only found to have it."""
    author: str
    reason: str


@dataclass(frozen=True)
class Span:
    """A period between two recorded changes of the alias champion."""

    since: datetime | None
    """None: from the beginning."""
    until: datetime | None
    """None: until now."""
    versions: tuple[int | None, ...]
    """The champion (None: there was none), or all that may have been, in order, where a change was not recorded."""
    change: Change | None = None
    """The recorded change at its beginning."""


def now() -> datetime:
    """The time that a change gets."""
    return datetime.now(UTC)


def record_change(client: MlflowClient, version: ModelVersion, alias: str, before: ModelVersion | None) -> None:
    """Record that the alias was set to the version; nothing if it had it and that is on record."""
    number = int(version.version)
    previous = int(before.version) if before else None
    last = next((known for known in reversed(changes(client, version.name)) if known.alias == alias), None)
    if previous == number and last and last.version == number:
        return
    decision = client.get_model_version(version.name, version.version).tags.get(DECISION_TAG, "")
    change = Change(now(), alias, number, previous, author(Path()), decision[:MAX_REASON])
    values = {name: value for name, value in asdict(change).items() if name != "time"}
    key = f"{CHANGE_TAG}{change.time.astimezone(UTC).strftime(TIME)}"
    client.set_registered_model_tag(version.name, key, json.dumps(values, ensure_ascii=False))


def changes(client: MlflowClient, model: str) -> list[Change]:
    """The recorded changes of the aliases of a registered model, the oldest first."""
    tags: Mapping[str, Any] = client.get_registered_model(model).tags
    return [
        Change(time=datetime.fromisoformat(key.removeprefix(CHANGE_TAG)), **json.loads(tags[key]))
        for key in sorted(tags)
        if key.startswith(CHANGE_TAG)
    ]


def champion_spans(recorded: Sequence[Change], published: Mapping[int, datetime], current: int | None) -> list[Span]:
    """The champion over time, from the recorded changes, the times of the versions and the present champion.

    Before the first recorded change, every version that existed may have been champion.
    """
    moves = [change for change in recorded if change.alias == CHAMPION]
    times = [None, *(move.time for move in moves), None]
    last = [*(move.before for move in moves), current]  # at the end of each span
    first: list[int | None] = [last[0]]
    if last[0] is not None:
        earlier = (version for version, time in published.items() if times[1] is None or time < times[1])
        first = [*sorted(version for version in earlier if version != last[0]), last[0]]
    spans = [Span(None, times[1], tuple(first))]
    for index, move in enumerate(moves, start=1):
        versions = (move.version,) if last[index] == move.version else (move.version, last[index])
        spans.append(Span(move.time, times[index + 1], versions, move))
    return spans


def span_at(spans: Sequence[Span], time: datetime) -> Span:
    """The span of this time."""
    return next(span for span in reversed(spans) if span.since is None or span.since <= time)


def champions_at(span: Span, published: Mapping[int, datetime], time: datetime) -> list[int | None]:
    """The versions of the span that may have been champion at this time, because they existed; one where that is certain."""
    existing = [known for known in span.versions if known is None or known not in published or published[known] <= time]
    return existing or [None]
