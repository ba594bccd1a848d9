"""The registry of drift signals, and the steps to add one."""

from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Double, Integer

from commentwise.models.prediction_log import predictions
from commentwise.monitoring.actions.alerts import prometheus
from commentwise.monitoring.report import page
from commentwise.monitoring.settings import WindowSettings, read
from commentwise.monitoring.signals.analysis import analyse
from commentwise.monitoring.signals.reference import Reference
from commentwise.monitoring.signals.rows import TRAITS, Floats, Rows
from commentwise.monitoring.signals.signal import SIGNALS, PerComment, Signal, share
from tests.monitoring.production import Production


def upper_case_shares(rows: Rows, _: Reference) -> Floats | None:
    """Share of each comment's characters that are upper case."""
    if rows.texts is None:
        return None
    return np.array([sum(character.isupper() for character in text) / len(text) for text in rows.texts])


@pytest.fixture
def shouting() -> Iterator[Signal]:
    """A new signal, added by the steps of commentwise.monitoring.signals.signal."""
    sentence = share("of the characters are upper case")
    signal = Signal("upper_case_share", "Upper case", sentence, PerComment(upper_case_shares))
    SIGNALS.insert(0, signal)
    yield signal
    SIGNALS.remove(signal)


def test_a_new_signal_is_tested_ranked_and_described_everywhere(shouting: Signal, production: Production) -> None:
    production.log([*production.usual(100), *(text.upper() for text in production.usual(100))])
    settings = read(WindowSettings, "drift", production.flags)
    analysis = analyse(settings)
    page.write(analysis, settings)

    assert [shouting.name in verdict.drifted for verdict in analysis.verdicts] == [False, False, True, True]
    latest = analysis.verdicts[-1]
    assert set(latest.adjusted) == {signal.name for signal in SIGNALS}
    assert latest.adjusted[shouting.name] > latest.outcomes[shouting.name].p_value  # Holm's family includes it
    assert latest.tested[0] is shouting
    first_cause = analysis.summary.partition(";")[0]
    assert first_cause.endswith("% of the characters are upper case (was 0%)")

    html = (production.out / "report.html").read_text(encoding="utf-8")
    assert html.count("Upper case") == 2  # in the table of signals and as the title of its plot
    assert html.count("upper case") >= 3  # in the summary, in the table of signals and in that of windows
    window = analysis.as_dict()["windows"][-1]
    assert window["means"][shouting.name] > 0.5
    assert window["signals"][shouting.name]["adjusted"] == latest.adjusted[shouting.name]
    assert f'signal="{shouting.name}"' in prometheus(analysis)


def test_a_new_signal_is_left_out_where_the_window_lacks_what_it_needs(
    shouting: Signal, production: Production
) -> None:
    production.log(production.usual(100), keep_text=False)
    analysis = analyse(read(WindowSettings, "drift", production.flags))
    assert shouting.name not in analysis.verdicts[-1].outcomes
    assert set(analysis.verdicts[-1].outcomes) == {
        *TRAITS,
        "language",
        "label",
        "confidence",
        "entropy",
    }


def test_every_trait_in_the_log_is_a_signal() -> None:
    assert set(TRAITS) <= {signal.name for signal in SIGNALS}
    assert {name: type(predictions.c[name].type) for name in TRAITS} == {
        name: Integer if name == "tokens" else Double for name in TRAITS
    }


def test_names_and_titles_are_unique() -> None:
    for values in ([signal.name for signal in SIGNALS], [signal.title for signal in SIGNALS]):
        assert len(set(values)) == len(values)
