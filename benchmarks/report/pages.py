"""The report as one HTML file, as Markdown with pictures, and as a section of the README."""

from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from benchmarks.document import replace_section
from benchmarks.report.chapters.over_http import busiest
from benchmarks.report.chapters.overview import Tile
from benchmarks.report.drawing import DARK, LIGHT, PAGE, save_png, svg
from benchmarks.report.notation import milliseconds, number, times
from benchmarks.report.result_files import Results
from benchmarks.report.section import Chart, Section
from benchmarks.result import OURS
from benchmarks.servers.result import ServingResult, measured_servers
from commentwise.fileio import write_text

START = "<!-- benchmarks: written by `python -m benchmarks.report` -->"
END = "<!-- /benchmarks -->"
README_SECTIONS = ("engines",)
"""Names of the sections whose answers appear in the README."""


@dataclass(frozen=True)
class Report:
    """The content of a report."""

    tiles: list[Tile]
    overview: Chart | None
    sections: list[Section]

    @property
    def charts(self) -> list[Chart]:
        """Every chart, in order of appearance."""
        own = [self.overview] if self.overview else []
        return own + [chart for section in self.sections for chart in section.answer.charts]


def write_html(report: Report, path: Path) -> None:
    """Write the page with its pictures inline, in the colours of the page."""
    drawings = {chart.name: Markup(svg(chart.draw(PAGE), chart.name)) for chart in report.charts}
    template = _templates(autoescape=True).get_template("page.html")
    write_text(path, template.render(report=report, drawings=drawings, light=vars(LIGHT), dark=vars(DARK)))


def write_markdown(report: Report, folder: Path) -> None:
    """Write report.md and every picture in light and dark beside it."""
    for variant, palette in (("light", LIGHT), ("dark", DARK)):
        for earlier in folder.glob(f"*-{variant}.png"):
            earlier.unlink()
        for chart in report.charts:
            save_png(chart.draw(palette), folder / f"{chart.name}-{variant}.png", palette)
    template = _templates(autoescape=False).get_template("report.md")
    write_text(folder / "report.md", template.render(report=report, picture=picture))


def picture(chart: Chart, folder: str = "") -> str:
    """A picture that follows the reader's light or dark theme."""
    alt = chart.alt.replace('"', "&quot;")
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{folder}{chart.name}-dark.png">'
        f'<img alt="{alt}" src="{folder}{chart.name}-light.png" width="560"></picture>'
    )


def write_readme(path: Path, report: Report, folder: Path, results: Results) -> None:
    """Write the overview's picture, and our server against each peer, between the two comments in a README."""
    replace_section(path, START, END, _readme_lines(report, folder, results))


def _readme_lines(report: Report, folder: Path, results: Results) -> list[str]:
    answers = [
        section.answer.text
        for section in report.sections
        if section.name in README_SECTIONS and section.answer.measured
    ]
    shown = [picture(report.overview, f"{folder}/"), ""] if report.overview else []
    table = _peer_table(results["serving"]) if "serving" in results else []
    link = f"All figures, how they were measured, and which are missing: [{folder / 'report.md'}]({folder / 'report.md'}), or {folder / 'index.html'} in a browser."
    return [*shown, *table, " ".join(answers), "", link]


def _peer_table(result: ServingResult) -> list[str]:
    servers = measured_servers(result["servers"])
    if not servers:
        return []
    ours = servers.get(OURS)
    connections, loops = busiest(servers)
    lines = [f"| server | requests/s | p99, {connections} connections | ours is |", "|---|--:|--:|--:|"]
    for name in result["servers"]:
        if name not in servers:
            lines.append(f"| {name} | not measured | | |")
            continue
        p99 = milliseconds(loops[name]["p99"]) if name in loops else ""
        peak = servers[name]["peak_per_second"]
        ratio = times(ours["peak_per_second"] / peak) if ours and name != OURS else ""
        lines.append(f"| {name} | {number(peak)} | {p99} | {ratio} |")
    return [*lines, ""]


def _templates(autoescape: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
