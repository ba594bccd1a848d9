"""Train again with what people said, through the same pipeline, and let a gate decide.

  python -m commentwise.monitoring.actions.retrain --why "new communities"
  python -m commentwise.monitoring.actions.retrain --also labelled.jsonl --shadow

The comments of the present split keep their parts. New ones, from feedback and from files, are spread over the parts by
their text's hash. The gate (commentwise.training.choice.gate) holds the result against the champion on the old and on the recent test
comments. Killed at any moment, the same command goes on where it was; two at once are impossible; every retraining is
recorded. Where the gate says no, params.yaml, dvc.lock and the data are put back, and the same comments are not tried
again with the same settings.
"""

import fcntl
import getpass
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field
from ruamel.yaml import YAML

from commentwise.comments.normalize import normalize
from commentwise.comments.table import COLUMNS
from commentwise.comments.traits import text_hash
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_file, read_json, write_json, write_text
from commentwise.models.prediction_log import opened
from commentwise.monitoring.actions.labelled import collect, read_feedback, write_lines
from commentwise.monitoring.actions.process import run
from commentwise.monitoring.settings import REFERENCE, LogSettings, read
from commentwise.training.project import PARTS, part_file
from commentwise.training.settings import PARAMS, load_settings

DATA = Path("data/retrain")
FOLDER = Path("artifacts/retraining")
RECORD = FOLDER / "retrainings.jsonl"
PRESENT = FOLDER / "present"
"""What belongs to the retraining that goes on; there is one per repository."""
STATE, KEPT = PRESENT / "state.json", PRESENT / "kept"
TEST_SHARE, VALIDATION_SHARE = 0.35, 0.15
"""Of the recent comments. Many for the test, since the gate has to see the gain on them."""
LEAST_RECENT = 40
LOCK = Path("dvc.lock")


class RetrainCommand(LogSettings):
    """Train again."""

    reference: Path = Field(default=REFERENCE, description="where a new champion's reference goes")
    also: list[Path] = Field(default=[], description="more labelled comments: .jsonl files with text and label")
    shadow: bool = Field(default=False, description="a winner becomes challenger, to run as a shadow, not champion")
    why: str = Field(default="asked for", description="stands in the record")


def main() -> None:
    """Retrain, or go on with a retraining that was cut short."""
    settings = read(RetrainCommand, "retrain")
    with alone(FOLDER / "lock"):
        state = begin(settings)
        result = carry_out(state)
        finish(state, result, settings.reference)
    print(f"retrain: {result['reason']}")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock that ends with this process. Raises CommentwiseError when another holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommentwiseError(f"another retraining holds {path}: wait until it has ended") from None
        yield


def begin(settings: RetrainCommand) -> dict[str, Any]:
    """Settle what this retraining trains on, or take up the one that was cut short; return its record.

    Raises CommentwiseError when there is too little to train on, or the same has lost before.
    """
    if STATE.is_file():
        state = read_state()
        print(f"retrain: going on with {state['id']}, begun {state['when']} by {state['who']}", flush=True)
        return state
    recent = recent_comments(settings)
    table = pd.concat([present_split(), spread(recent)], ignore_index=True)
    content = table.to_json(orient="records", lines=True, force_ascii=False, date_format="iso")
    name = hashlib.sha256((content + PARAMS.read_text(encoding="utf-8")).encode("utf-8")).hexdigest()[:12]
    refuse_what_lost(name)
    data = DATA / f"{name}.jsonl"
    write_text(data, content)
    shutil.rmtree(PRESENT, ignore_errors=True)  # of one that was killed before it had begun
    for path in kept_files():
        (KEPT / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, KEPT / path)
    test = [row["comment_id"] for row in recent if part_of(row["text"]) == "test"]
    write_text(PRESENT / "recent.txt", "\n".join(test) + "\n")
    write_lines(PRESENT / "recent.jsonl", recent)
    state = {
        "id": name,
        "who": getpass.getuser(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "why": settings.why,
        "shadow": settings.shadow,
        "data": str(data),
        "recent": len(recent),
        "recent_test": len(test),
    }
    write_json(STATE, state)  # last: from here on it is this retraining
    print(f"retrain: {name}: {len(recent):,} recent comments, {len(test):,} of them for the test", flush=True)
    return state


def read_state() -> dict[str, Any]:
    """The record of the retraining that was cut short. Raises CommentwiseError where it cannot be read."""
    try:
        return dict(read_json(STATE))
    except ValueError as error:
        raise CommentwiseError(
            f"{STATE} is damaged ({error}): put the files of {KEPT} back, delete {PRESENT} and run the same command again"
        ) from None


def refuse_what_lost(name: str) -> None:
    """Raise CommentwiseError where the same comments lost with the same settings."""
    lines = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.is_file() else []
    for past in map(json.loads, lines):
        if past["id"] == name and not past["gate"]["passed"]:
            raise CommentwiseError(
                f"the same comments were tried on {past['when']} and lost ({past['gate']['reason']}): collect more feedback, or change {PARAMS}"
            )


def kept_files() -> list[Path]:
    """What a loser must leave as it was and DVC's cache does not hold: settings, the lock, and the figures in git."""
    stages = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    lock = YAML(typ="safe").load(LOCK.read_text(encoding="utf-8"))["stages"]
    uncached = {
        str(name)
        for stage in stages.values()
        for out in [*stage.get("do", stage).get("outs", []), *stage.get("do", stage).get("metrics", [])]
        if isinstance(out, dict)
        for name in out
    }
    paths = {out["path"] for stage in lock.values() for out in stage.get("outs", [])}
    named = {path for path in paths if any(_matches(path, name) for name in uncached)}
    return [PARAMS, LOCK, *(Path(path) for path in sorted(named) if Path(path).is_file())]


def _matches(path: str, name: str) -> bool:
    """Whether an output is the one that dvc.yaml names, maybe with ${item} in it."""
    return fnmatch(path, name.replace("${item}", "*"))


def recent_comments(settings: RetrainCommand) -> list[dict[str, Any]]:
    """Labelled comments that the present split does not hold yet. Raises CommentwiseError when they are too few."""
    with opened(settings.prediction_log) as connection:
        collected = collect(read_feedback(connection))
    print(f"retrain: feedback: {collected}", flush=True)
    given = [*collected.comments, *(row for path in settings.also for row in labelled_lines(path))]
    labels = load_settings().labels
    known = {text_hash(text) for part in PARTS for text in pd.read_parquet(part_file(part))["text"]}
    fresh: dict[str, dict[str, Any]] = {}
    for row in given:
        name = text_hash(normalize(row["text"]))
        if name not in known and row["label"] in labels:
            fresh.setdefault(name, {**row, "comment_id": f"recent-{name[:16]}"})
    if strange := sum(row["label"] not in labels for row in given):
        print(f"retrain: {strange:,} left out because their label is none of {', '.join(labels)}", flush=True)
    if len(fresh) < LEAST_RECENT:
        raise CommentwiseError(
            f"{len(fresh)} labelled comments are new and a retraining needs {LEAST_RECENT}: collect feedback, or give files with --also"
        )
    return [fresh[name] for name in sorted(fresh)]


def present_split() -> pd.DataFrame:
    """The comments that the pipeline's last run trained and tested on, with their parts."""
    return pd.concat([pd.read_parquet(part_file(part)).assign(part=part) for part in PARTS])[list(COLUMNS)]


def spread(recent: list[dict[str, Any]]) -> pd.DataFrame:
    """Recent comments with their parts."""
    table = pd.DataFrame(recent).reindex(columns=list(COLUMNS))
    return table.assign(
        part=[part_of(text) for text in table["text"]], published_at=pd.to_datetime(table["published_at"], utc=True)
    )


def part_of(text: str) -> str:
    """The part a recent comment goes to, the same in every retraining."""
    place = int(text_hash(normalize(text))[:8], 16) / 2**32
    return "test" if place < TEST_SHARE else "validation" if place < TEST_SHARE + VALIDATION_SHARE else "train"


def carry_out(state: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline and the gate; what is done already takes no time again. Return the gate's decision."""
    run("dvc", "add", state["data"])
    point_params_at(state["data"])
    run("dvc", "repro")
    result = PRESENT / "gate.json"
    run(
        "commentwise.training.choice.gate",
        str(PRESENT / "recent.txt"),
        str(result),
        *(["--shadow"] if state["shadow"] else []),
    )
    return dict(read_json(result))


def point_params_at(data: str) -> None:
    """Have params.yaml read the new source."""
    plain: dict[str, Any] = {"path": data, "hub": None, "hub_config": None, "encoding": "utf-8", "label_map": {}}
    columns = {f"columns.{name}": name for name in COLUMNS}
    change_params({f"data.{name}": value for name, value in (plain | columns).items()})


def change_params(values: dict[str, Any]) -> None:
    """Set keys of params.yaml, given as dotted names; comments and order stay."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 4096, True
    params = yaml.load(PARAMS.read_text(encoding="utf-8"))
    for name, value in values.items():
        section = params
        *parents, key = name.split(".")
        for parent in parents:
            section = section[parent]
        section[key] = value
    with atomic_file(PARAMS) as temporary, temporary.open("w", encoding="utf-8") as stream:
        yaml.dump(params, stream)


def finish(state: dict[str, Any], result: dict[str, Any], reference: Path) -> None:
    """Record what came of it. A new champion gets its reference; a loser leaves everything as it was."""
    if result["alias"] == "champion":
        run("commentwise.monitoring.signals.reference", "--bundle", "artifacts/bundle", "--reference", str(reference))
    if not result["passed"]:
        put_back(state)
    line = state | {"ended": datetime.now(UTC).isoformat(timespec="seconds"), "gate": result}
    past = RECORD.read_text(encoding="utf-8").splitlines() if RECORD.is_file() else []
    others = [
        entry for entry in past if (known := json.loads(entry))["id"] != line["id"] or known["when"] != line["when"]
    ]
    write_text(RECORD, "\n".join([*others, json.dumps(line, ensure_ascii=False)]) + "\n")
    STATE.unlink()  # first: without it, what is left is nobody's
    shutil.rmtree(PRESENT)


def put_back(state: dict[str, Any]) -> None:
    """Leave the files, and what DVC has staged of them in git, as they were."""
    kept = [path.relative_to(KEPT) for path in KEPT.rglob("*") if path.is_file()]
    for path in kept:
        with atomic_file(path) as temporary:
            shutil.copyfile(KEPT / path, temporary)
    tracked = Path(f"{state['data']}.dvc")
    if tracked.is_file():
        run("dvc", "remove", str(tracked))
    Path(state["data"]).unlink(missing_ok=True)
    run("dvc", "checkout", "--force")
    subprocess.run(["git", "reset", "--quiet", "--", str(DATA), *map(str, kept)], check=True)


def labelled_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a .jsonl file. Raises CommentwiseError naming the line that is no labelled comment."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommentwiseError(f"--also {path} cannot be read ({error}): name a .jsonl file in UTF-8") from None
    return [_labelled(line, f"--also {path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


def _labelled(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise CommentwiseError(f"{place} is no JSON ({error}): write one object per line") from None
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in ("text", "label")):
        raise CommentwiseError(f"{place} has no text and label: write an object with both, as strings")
    return row


if __name__ == "__main__":
    run_command(main)
