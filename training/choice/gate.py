"""Register a retrained bundle, and make it champion if it wins on recent comments and does not lose on the old ones.

  python -m commentwise.training.choice.gate RECENT RESULT

RECENT names the comments of the test part that are recent, one id per line; RESULT is where the decision is written, as
JSON. Both models answer the same comments; McNemar's exact test on those that only one of them gets right decides.
Repeated, it comes to the same decision.
"""

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray
from scipy.stats import binomtest

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_json
from commentwise.models.bundle import Classifier, verify_files
from commentwise.training.candidate import read_part
from commentwise.training.families import registry
from commentwise.training.project import Project
from commentwise.training.registry.publish import move_alias, register
from commentwise.training.registry.tracking import connect, record_candidate
from commentwise.training.registry.versions import (
    BUNDLE_FOLDER,
    CHALLENGER,
    CHAMPION,
    DECISION_TAG,
    champion,
    downloaded,
)
from commentwise.training.settings import Settings, load_settings

WIN_LEVEL = 0.1
"""The chance of winning on the recent comments by luck. Recent ones are few, and losing on the old ones is barred."""
LOSS_LEVEL = 0.05


@dataclass(frozen=True)
class Match:
    """Challenger against champion on the same comments."""

    comments: int
    champion_accuracy: float
    challenger_accuracy: float
    only_challenger: int
    """Comments that it alone gets right."""
    only_champion: int

    @property
    def wins(self) -> bool:
        """Whether the challenger's lead is no luck."""
        return self._chance("greater") <= WIN_LEVEL

    @property
    def loses(self) -> bool:
        """Whether the challenger's lag is no luck."""
        return self._chance("less") <= LOSS_LEVEL

    def _chance(self, alternative: str) -> float:
        discordant = self.only_challenger + self.only_champion
        return float(binomtest(self.only_challenger, discordant, alternative=alternative).pvalue) if discordant else 1.0

    def __str__(self) -> str:
        return f"accuracy {self.challenger_accuracy:.3f} against {self.champion_accuracy:.3f} on {self.comments:,}"


def main() -> None:
    """Judge the bundle in the current folder."""
    parser = argparse.ArgumentParser(
        prog="python -m commentwise.training.choice.gate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recent", type=Path, help="file with the ids of the recent test comments")
    parser.add_argument("result", type=Path, help="JSON file for the decision")
    parser.add_argument(
        "--shadow", action="store_true", help="a winner becomes challenger only, to run as a shadow first"
    )
    arguments = parser.parse_args()
    project = Project()
    settings = load_settings(project.params)
    verify_files(project.bundle)
    client = connect(project)
    for family in registry.names():
        record_candidate(client, project, family, settings)
    version = register(client, project, settings)
    result = judge(client, project, version, set(arguments.recent.read_text(encoding="utf-8").split()), settings)
    alias = CHAMPION if result["passed"] and not arguments.shadow else CHALLENGER
    if result["champion"] != version.version:
        # The reason first: killed in between, the next try finds it with the new champion.
        client.set_model_version_tag(version.name, version.version, DECISION_TAG, result["reason"])
        move_alias(client, version, alias)
    write_json(arguments.result, result | {"alias": alias})
    print(f"gate: version {version.version} of {version.name!r} is {alias}: {result['reason']}")


def judge(
    client: MlflowClient, project: Project, version: ModelVersion, recent: set[str], settings: Settings
) -> dict[str, Any]:
    """Hold the bundle in the current folder against the champion. Raises CommentwiseError when there is none."""
    current = champion(client, version.name)
    if current is None:
        raise CommentwiseError(
            f"{version.name!r} has no champion to compare with: run `python -m commentwise.training.registry.publish`"
        )
    facts = {"version": version.version, "champion": current.version}
    if current.version == version.version:
        return facts | {"passed": True, "reason": current.tags.get(DECISION_TAG, "it is the champion already")}
    test = read_part(project.prepared, "test", settings.labels)
    is_recent = test.table["comment_id"].isin(recent).to_numpy()
    if not is_recent.any():  # all of them copies of others
        return facts | {"passed": False, "reason": "no recent comment came into the test part: collect more feedback"}
    with downloaded(current, BUNDLE_FOLDER) as folder:
        theirs = Classifier(folder).probabilities(test.texts).argmax(axis=1) == test.targets
    ours = Classifier(project.bundle).probabilities(test.texts).argmax(axis=1) == test.targets
    old, new = match(ours[~is_recent], theirs[~is_recent]), match(ours[is_recent], theirs[is_recent])
    passed = new.wins and not old.loses
    why = "passed" if passed else "no sure win on the recent ones" if not new.wins else "a loss on the old ones"
    reason = f"{why}: {new} recent comments, {old} old ones"
    return facts | {"passed": passed, "reason": reason, "recent": asdict(new), "old": asdict(old)}


def match(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> Match:
    """Count who is right where, both of shape (comments,)."""
    return Match(
        len(ours), float(theirs.mean()), float(ours.mean()), int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    )


if __name__ == "__main__":
    run_command(main)
