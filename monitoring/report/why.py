"""Say why accuracy fell: data, parameters, code or production moved, each with its figure, the strongest evidence first.

commentwise why                # the champion, and the version that was champion before
commentwise why 3 5            # two sides, as `commentwise compare` names them
"""

import json
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field
from pydantic_settings import CliPositionalArg
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import write_text
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.report.causes import SHOWN, Cause, causes, reported
from commentwise.monitoring.settings import WindowSettings, read
from commentwise.monitoring.signals.analysis import Analysis, analyse
from commentwise.training import pages
from commentwise.training.compare import page as compare_page
from commentwise.training.compare.difference import Comparison, compare
from commentwise.training.compare.sides import opened
from commentwise.training.pages import Html, section
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import PREVIOUS_TAG, champion
from commentwise.training.settings import load_settings


class WhyCommand(WindowSettings):
    """Say why accuracy fell: data, parameters, code or production moved, each with its figure."""

    sides: CliPositionalArg[list[str]] = Field(
        default=[],
        description="two sides, as `commentwise compare` names them (default: the previous champion, the champion)",
    )
    json_output: bool = Field(default=False, alias="json", description="print everything as JSON, and write no page")
    page: Path = Field(default=Path("artifacts/why.html"), description="where to write the page")


def main() -> None:
    """Print the causes, and write the page."""
    settings, project = read(WhyCommand, "why"), MonitoredProject()
    before_name, after_name = settings.sides if len(settings.sides) == 2 else _champions(project, settings.sides)
    with opened(project, before_name) as before, opened(project, after_name) as after:
        comparison = compare(project, before, after)
        analysis, not_looked = _looked_at(settings, after.bundle_id)
        found = causes(comparison, analysis, not_looked)
        if settings.json_output:
            print(json.dumps(_as_dict(comparison, analysis, found), indent=2, ensure_ascii=False))
            return
        show(Console(highlight=False), comparison, found)
        write_text(settings.page, page(comparison, analysis, found))
    print(f"\nwhy: {settings.page}")


def _champions(project: MonitoredProject, named: list[str]) -> tuple[str, str]:
    """The previous champion and the champion. Raises CommentwiseError if there are no two, or one side is named."""
    if named:
        raise CommentwiseError(
            f"{len(named)} side named ({', '.join(named)}): name two, or none for the last two champions"
        )
    model = load_settings(project.params).publish.model
    current = champion(connect(project), model)
    previous = current.tags.get(PREVIOUS_TAG) if current else None
    if current is None or previous is None:
        state = (
            f"version {current.version} of {model!r} is the first champion" if current else f"{model!r} has no champion"
        )
        raise CommentwiseError(f"{state}: name two sides, e.g. `commentwise why champion workspace`")
    return str(previous), str(current.version)


def _looked_at(settings: WhyCommand, bundle: str) -> tuple[Analysis | None, str]:
    """The analysis of production, or None and the reason."""
    try:
        analysis = analyse(settings)
    except CommentwiseError as error:
        return None, str(error)
    if analysis.reference.bundle_id != bundle:
        return None, (
            f"{settings.reference} belongs to bundle {analysis.reference.bundle_id[:12]} and not to {bundle[:12]}: run "
            "`commentwise reference` where that bundle is"
        )
    return analysis, ""


def show(console: Console, comparison: Comparison, found: list[Cause]) -> None:
    """Print the causes."""
    console.print(f"{comparison.before.title} -> {comparison.after.title}", style="bold", markup=False)
    console.print(reported(comparison), markup=False)
    for number, cause in enumerate(found, start=1):
        console.print(f"\n{number}. {cause.title}", style="bold", markup=False)
        for fact in cause.facts:
            console.print(Padding(Text(fact), (0, 0, 0, 3), expand=False))
    for note in comparison.notes:
        console.print(f"note: {note}", markup=False)


def page(comparison: Comparison, analysis: Analysis | None, found: list[Cause]) -> str:
    """Render the causes, and beneath them the whole comparison, as HTML."""
    first = found[0]
    return pages.page(
        "Commentwise: why",
        f"{first.title[0].upper()}{first.title[1:]}",
        reported(comparison),
        [*_sections(found), *compare_page.sections(comparison)],
        about=f"Commentwise, {comparison.before.title} -> {comparison.after.title}",
        tone="alert" if first.verdict == SHOWN else "none",
        footer="Evidence is ordered: moved with a figure that shows the effect, moved, not known, did not move. "
        + (f"Production: bundle {analysis.reference.bundle_id[:12]}." if analysis else "Production was not looked at."),
    )


def _sections(found: list[Cause]) -> Iterator[Html]:
    for number, cause in enumerate(found, start=1):
        yield section(f"{number}. {cause.title[0].upper()}{cause.title[1:]}", *cause.facts)


def _as_dict(comparison: Comparison, analysis: Analysis | None, found: list[Cause]) -> dict[str, object]:
    return {
        "summary": reported(comparison),
        "causes": [cause.as_dict() for cause in found],
        "compare": comparison.as_dict(),
        "production": analysis.as_dict() if analysis else None,
    }


if __name__ == "__main__":
    run_command(main)
