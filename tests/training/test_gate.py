"""Retrained against champion on old and recent comments, and going back, in a real MLflow store."""

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from commentwise.errors import CommentwiseError
from commentwise.training.choice.gate import decide, match
from commentwise.training.registry import versions as registry
from commentwise.training.registry.rollback import roll_back
from tests.training.test_publish import MODEL, PROJECT, alias, client, make_bundle, printed, store

__all__ = ["client", "store"]  # fixtures
RECENT = {f"c{number}" for number in range(0, 90, 3)}
"""Every third test comment."""


def publish_one(strength: float, capsys: pytest.CaptureFixture[str]) -> None:
    make_bundle(0, strength)
    printed(capsys)


def test_a_win_on_the_recent_without_a_loss_on_the_old_is_champion(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_one(-6.0, capsys)
    make_bundle(1)
    decision = decide(PROJECT, RECENT)
    assert (decision.passed, decision.alias) == (True, "champion")
    assert decision.recent is not None
    assert decision.recent.comments == 30
    assert alias(client, "champion") == "2"
    again = decide(PROJECT, RECENT)  # as after a kill just before the decision was written down
    assert (again.passed, again.alias, again.reason) == (True, "champion", decision.reason)
    assert len(client.search_model_versions(f"name = '{MODEL}'")) == 2
    tags = client.get_model_version(MODEL, "2").tags
    assert tags[registry.DECISION_TAG].startswith("passed: accuracy ")
    assert tags[registry.PREVIOUS_TAG] == "1"


def test_a_winner_becomes_challenger_where_a_shadow_is_asked_for(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_one(-6.0, capsys)
    make_bundle(1)
    assert decide(PROJECT, RECENT, shadow=True).alias == "challenger"
    assert (alias(client, "champion"), alias(client, "challenger")) == ("1", "2")


@pytest.mark.parametrize("strength", [6.0, -6.0])
def test_no_sure_win_leaves_the_champion(
    strength: float, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_one(6.0, capsys)
    make_bundle(1, strength)
    decision = decide(PROJECT, RECENT)
    assert (decision.passed, decision.alias) == (False, "challenger")
    assert decision.reason.startswith("no significant win on the recent ones")
    assert alias(client, "champion") == "1"


def test_a_win_on_the_recent_does_not_pay_for_a_loss_on_the_old() -> None:
    right, wrong = np.ones(40, dtype=bool), np.zeros(40, dtype=bool)
    assert match(right, wrong).wins
    assert match(wrong, right).loses
    assert not match(right, right).wins
    assert not match(right, right).loses


def test_a_lead_that_may_be_luck_is_no_win() -> None:
    ours, theirs = np.array([True, True, False]), np.array([True, False, False])
    assert not match(ours, theirs).wins


def test_without_recent_comments_nobody_wins(client: MlflowClient, capsys: pytest.CaptureFixture[str]) -> None:
    publish_one(-6.0, capsys)
    make_bundle(1)
    decision = decide(PROJECT, {"other"})
    assert (decision.passed, decision.reason[:17]) == (False, "no recent comment")
    assert alias(client, "champion") == "1"


def test_rolling_back_goes_to_the_champion_before_and_says_who_and_why(
    client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_one(-6.0, capsys)
    with pytest.raises(CommentwiseError, match="version 1 of 'commentwise' is the first champion"):
        roll_back(client, MODEL, None, "why")
    make_bundle(1)
    decide(PROJECT, RECENT)
    assert roll_back(client, MODEL, None, "complaints") == "version 1 of 'commentwise' is champion instead of 2"
    assert "complaints" in client.get_model_version(MODEL, "1").tags[registry.DECISION_TAG]
    with pytest.raises(CommentwiseError, match="is the first champion"):
        roll_back(client, MODEL, None, "again")
    assert roll_back(client, MODEL, "2", "after all") == "version 2 of 'commentwise' is champion instead of 1"
    assert roll_back(client, MODEL, "2", "again") == "version 2 of 'commentwise' already was champion"
    with pytest.raises(CommentwiseError, match="has no version '7'"):
        roll_back(client, MODEL, "7", "why")
