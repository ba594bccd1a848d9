"""Which cause `commentwise why` names, in the project of tests/lab.py and with a real prediction log."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from commentwise.errors import CommentwiseError
from commentwise.monitoring.report import why
from commentwise.monitoring.report.causes import MOVED, SAME, SHOWN, UNKNOWN
from tests.monitoring.production import Production


@pytest.fixture
def explained(lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `commentwise why` with arguments and returns its output."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["commentwise why", *arguments])
        why.main()
        return capsys.readouterr().out

    return run


def causes(output: str) -> dict[str, dict[str, Any]]:
    return {cause["name"]: cause for cause in json.loads(output)["causes"]}


@pytest.mark.parametrize(
    ("before", "after", "cause", "fact"),
    [
        ("1", "2", "data", "500 -> 440 rows: 60 removed, 50 relabelled."),
        ("2", "3", "parameters", "families.logreg.C [2] -> [0.5]."),
        ("3", "4", "code", "Changed in preprocessing (comments/normalize.py)."),
    ],
)
def test_the_one_thing_that_moved_comes_first_and_the_rest_did_not_move(
    explained: Any, before: str, after: str, cause: str, fact: str
) -> None:
    found = causes(explained(before, after, "--json"))
    first = next(iter(found.values()))
    assert first["name"] == cause
    assert first["verdict"] in (MOVED, SHOWN)
    assert first["facts"][0] == fact
    assert any("Nothing else moved between the two" in each for each in first["facts"])
    assert found["production"]["verdict"] == UNKNOWN
    assert "there is no prediction log" in found["production"]["facts"][0]
    others = set(found) - {cause, "production"}
    assert {found[name]["verdict"] for name in others} == {SAME}


def test_of_several_that_moved_none_is_said_to_be_the_cause(explained: Any) -> None:
    found = causes(explained("1", "4", "--json"))
    for name in ("data", "parameters", "code"):
        assert found[name]["verdict"] == MOVED
        assert "moved at the same time: change one at a time to know it" in found[name]["facts"][-1]


def test_production_that_moved_is_named_with_its_figures(explained: Any, tmp_path: Path) -> None:
    production = Production(tmp_path, Path("artifacts/bundle"))
    production.log([*production.usual(150), *production.different(100)])
    flags = [*production.flags, "--page", str(tmp_path / "why.html")]
    found = causes(explained("3", "4", "--json", *flags))
    assert found["production"]["verdict"] in (MOVED, SHOWN)
    assert "Estimated accuracy " in found["production"]["facts"][1]
    assert "No feedback" in found["production"]["facts"][2]
    printed = explained("3", "4", *flags)
    assert max(map(len, printed.splitlines()[:-1])) <= 80  # the last line names the page
    assert "production moved" in printed
    assert "liquidity" in (tmp_path / "why.html").read_text(encoding="utf-8")


def test_a_reference_of_another_bundle_is_not_used(explained: Any, tmp_path: Path) -> None:
    production = Production(tmp_path, Path("artifacts/bundle"))
    production.log(production.usual(150))
    found = causes(explained("1", "2", "--json", *production.flags))
    assert found["production"]["verdict"] == UNKNOWN
    assert "belongs to bundle" in found["production"]["facts"][0]


def test_the_first_champion_has_nothing_to_be_compared_with(explained: Any) -> None:
    with pytest.raises(CommentwiseError, match="version 1 of 'commentwise' is the first champion: name two sides"):
        explained()
    with pytest.raises(CommentwiseError, match=r"1 side named \(2\): name two"):
        explained("2")
