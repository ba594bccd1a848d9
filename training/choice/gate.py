"""Register a retrained bundle, and make it champion if it wins on recent comments and does not lose on the old ones.

Both models answer the same test comments; McNemar's exact test on those that only one of them gets right decides.
Repeated, the gate comes to the same decision.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray
from scipy.stats import binomtest

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier, verify_files
from commentwise.training.candidate import read_part
from commentwise.training.project import Project
from commentwise.training.registry.publish import move_alias, register
from commentwise.training.registry.tracking import connect
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
"""Significance level of a win. It is lenient since recent comments are few, and a loss on the old ones is ruled out."""
LOSS_LEVEL = 0.05
"""Significance level of a loss."""


@dataclass(frozen=True)
class Match:
    """Challenger against champion on the same comments."""

    comments: int
    champion_accuracy: float
    challenger_accuracy: float
    only_challenger: int
    """Comments that only the challenger classifies correctly."""
    only_champion: int

    @property
    def wins(self) -> bool:
        """The challenger's lead is statistically significant."""
        return self._p_value("greater") <= WIN_LEVEL

    @property
    def loses(self) -> bool:
        """The challenger's deficit is statistically significant."""
        return self._p_value("less") <= LOSS_LEVEL

    def _p_value(self, alternative: str) -> float:
        discordant = self.only_challenger + self.only_champion
        return float(binomtest(self.only_challenger, discordant, alternative=alternative).pvalue) if discordant else 1.0

    def __str__(self) -> str:
        return f"accuracy {self.challenger_accuracy:.3f} against {self.champion_accuracy:.3f} on {self.comments:,}"


@dataclass(frozen=True)
class Decision:
    """The gate's decision on a bundle."""

    version: int
    """The bundle's version in the registry."""
    champion: int
    """The version of the champion that it was compared with."""
    passed: bool
    reason: str
    alias: str = CHALLENGER
    """The alias that the version got: champion or challenger."""
    recent: Match | None = None
    """On the recent test comments; None where nothing was compared."""
    old: Match | None = None
    """On all other test comments."""


def decide(project: Project, recent: Collection[str], *, shadow: bool = False) -> Decision:
    """Register the project's bundle, compare it with the champion, and move the alias.

    `recent` holds the ids of the recent comments in the test part. With `shadow` a winner becomes challenger only, to
    run as a shadow first. Raises CommentwiseError when there is no champion.
    """
    settings = load_settings(project.params)
    verify_files(project.bundle)
    client = connect(project)
    version = register(client, project, settings)
    decision = judge(client, project, version, recent, settings)
    decision = replace(decision, alias=CHAMPION if decision.passed and not shadow else CHALLENGER)
    if decision.champion != decision.version:
        # The reason first: killed in between, the next run finds it with the new champion.
        client.set_model_version_tag(version.name, version.version, DECISION_TAG, decision.reason)
        move_alias(client, version, decision.alias)
    print(f"gate: version {version.version} of {version.name!r} is {decision.alias}: {decision.reason}", flush=True)
    return decision


def judge(
    client: MlflowClient, project: Project, version: ModelVersion, recent: Collection[str], settings: Settings
) -> Decision:
    """Compare the project's bundle with the champion. Raises CommentwiseError when there is none."""
    current = champion(client, version.name)
    if current is None:
        raise CommentwiseError(f"{version.name!r} has no champion to compare with: run `commentwise publish`")
    if current.version == version.version:
        reason = current.tags.get(DECISION_TAG, "it already was the champion")
        return Decision(int(version.version), int(current.version), True, reason)
    test = read_part(project.prepared, "test", settings.labels)
    is_recent = test.table["comment_id"].isin(recent).to_numpy()
    if not is_recent.any():  # all of them were copies of other comments
        reason = "no recent comment is in the test part: collect more feedback"
        return Decision(int(version.version), int(current.version), False, reason)
    with downloaded(current, BUNDLE_FOLDER) as folder:
        theirs = Classifier(folder).probabilities(test.texts).argmax(axis=1) == test.targets
    ours = Classifier(project.bundle).probabilities(test.texts).argmax(axis=1) == test.targets
    old, new = match(ours[~is_recent], theirs[~is_recent]), match(ours[is_recent], theirs[is_recent])
    passed = new.wins and not old.loses
    why = "passed" if passed else "no significant win on the recent ones" if not new.wins else "a loss on the old ones"
    reason = f"{why}: {new} recent comments, {old} old ones"
    return Decision(int(version.version), int(current.version), passed, reason, recent=new, old=old)


def match(ours: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> Match:
    """Count the comments that each, both or neither of the two gets right; both arrays have shape (comments,)."""
    return Match(
        len(ours), float(theirs.mean()), float(ours.mean()), int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    )
