"""The report: its figures come from the results, missing ones are named, and its pages are self-contained."""

import copy
import csv
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import cast
from xml.etree import ElementTree

import pytest

from benchmarks.datasets import NAMES, DatasetResult, read_datasets
from benchmarks.report import int8_page, results_page
from benchmarks.report.__main__ import QUESTIONS, sections, write
from benchmarks.report.chapters.overview import overview_chart, tiles
from benchmarks.report.compare import changes
from benchmarks.report.figures import figures
from benchmarks.report.pages import END, START, Report, write_html, write_readme
from benchmarks.report.result_files import COMMANDS, RESULTS, ResultName, Results, read_results
from benchmarks.report.section import Section
from benchmarks.servers.result import measured_servers
from commentwise.errors import CommentwiseError
from commentwise.fileio import write_json
from tests.benchmarks.sample_results import everything, measured_server, serving, slower, training

ROOT = Path(__file__).parents[2]
SOME: Results = {"serving": serving(), "training": training()}
VOID = {"meta", "br", "img", "source", "link", "input"}
REAL = read_results(ROOT / RESULTS)


class Page(HTMLParser):
    """Checks that every element is closed in order; collects ids, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.labels: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.addresses += [
            value or "" for name, value in attrs if name in ("href", "src", "srcset", "xlink:href", "action")
        ]
        if facts.get("role") == "img":
            self.labels.append(facts.get("aria-label") or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of all results, real and invented, compared with a slower server before."""
    before, path = copy.deepcopy(everything()), tmp_path_factory.mktemp("page") / "index.html"
    slower(before["serving"], 0.5)
    results = cast(Results, {**REAL, **everything()})
    write_html(Report(tiles(results), overview_chart(results), sections(results, "the last commit", before)), path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report of two results."""
    folder = tmp_path_factory.mktemp("report")
    write(SOME, "the last commit", {}, folder)
    return folder


def section(results: Results, name: str) -> Section:
    return next(found for found in sections(results, "earlier results", {}) if found.name == name)


def test_page_is_well_formed_and_loads_nothing(html: str) -> None:
    page = Page(html)
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    assert page.addresses
    assert all(address.startswith("#") and address[1:] in page.ids for address in page.addresses)
    assert not re.search(r"<script|@import|url\((?!#)", html)
    assert set(re.findall(r"https?://[^\s\"]+", html)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_every_drawing_is_xml_in_the_colours_of_the_page_and_has_an_alternative_text(html: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    page = Page(html)
    assert len(drawings) == len(page.labels) == 15
    assert all(len(label) > 40 for label in page.labels)
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert "var(--ink)" in drawing
        assert not re.search(r"#[0-9a-f]{6}\b(?!-)", re.sub(r'(?:href="|url\()#[^")]+', "", drawing))


def test_answers_are_computed_from_the_results() -> None:
    results = everything()
    assert section(results, "engines").answer.text == (
        "ONNX Runtime int8, the served engine, classifies 454 comments per second on 2 cores, 6.7× the speed of "
        "the transformers pipeline, which is common practice. The cascade, in which a linear model answers the 52% of comments "
        "that it is sure of, reaches 1,040, at −0.40 points of macro-F1 against fp32."
    )
    assert (
        "45% of the limit of this machine's int8 matrix products: 454 of 1,000" in section(results, "limit").answer.text
    )
    assert (
        "320 requests per second, 80% of its engine's speed without HTTP: 2.0× the best peer, infinity; 3.6× LitServe"
        in section(results, "servers").answer.text
    )
    assert (
        "at 3× its peak (960), it still answers 100% of that peak in time, refuses 67% with 429"
        in section(results, "overload").answer.text
    )
    assert (
        "loses 0.19 points of macro-F1 and agrees with 99.6% of fp32's labels, at 2.6× the speed"
        in section(results, "int8").answer.text
    )
    assert section(results, "models").answer.text.startswith(
        "Not for quality. logreg, the smallest (1.20 MB next to 90.9 MB), is 94×"
    )
    assert (
        "80 comments per second, 5.0× as many as “trainer, defaults” and 1.60× as many"
        in section(results, "training").answer.text
    )
    assert (
        "With svm, a file of 1,000,000 comments is scored in 112 s: 1,000× the comments"
        in section(results, "scale").answer.text
    )
    assert section(results, "scale").answer.missing == [
        "scoring with bert, 100,000 comments: it would take about 226 s, and the budget is 60"
    ]
    assert "installs 249 MB in 40 packages, is ready after 1.40 seconds" in section(results, "footprint").answer.text
    slower(results["serving"], 0.5)
    assert "160 requests per second" in section(results, "servers").answer.text  # fmt: skip


def test_csv_for_plots_has_the_figures_and_one_unit_per_axis(folder: Path) -> None:
    found = figures(SOME)
    rows = list(csv.DictReader((folder / "figures.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["figure"]: float(row["value"]) for row in rows} == {
        name: figure.value for name, figure in found.items()
    }
    assert {row["unit"] for row in csv.DictReader((folder / "ratios.csv").open(encoding="utf-8"))} == {"×"}
    assert found["serving/commentwise/against infinity"].value == 2.0
    assert found["training/commentwise/against trainer, tuned"].value == 1.6


def test_figures_equal_those_of_the_results() -> None:
    assert figures(everything())["engines/ONNX Runtime int8/share of the limit"].value == pytest.approx(45.4)
    found = figures(REAL)
    for name, server in measured_servers(REAL["serving"]["servers"]).items():
        assert found[f"serving/{name}/speed"].value == server["peak_per_second"]
    score = REAL["youtube"]["families"]["bert"]["test"]["scores"]["macro_f1"]
    assert found["youtube/bert/macro-F1"].low == pytest.approx(100 * score["low"])


@pytest.mark.parametrize("name", everything())
def test_missing_results_are_named_with_the_command_that_writes_them(name: ResultName) -> None:
    results = cast(Results, {key: value for key, value in everything().items() if key != name})
    questions = [question.name for question in QUESTIONS if question.needs == (name,)]
    assert questions
    for question in questions:
        answer = section(results, question).answer
        assert answer.text == "Not measured yet."
        assert f"{name}: no results here; python -m benchmarks --only {name} writes them" in answer.missing


def test_peers_that_are_missing_or_failed_are_named_in_every_page(html: str, folder: Path) -> None:
    results = everything()
    results["serving"]["servers"]["infinity"] = {"what": "ours", "failed": "it did not start\nlog"}
    assert section(results, "servers").answer.missing == [
        "infinity: failed, it did not start",
        "mlflow models serve: missing, pip cannot install it here",
    ]
    assert "2.0×" not in section(results, "servers").answer.text
    assert html.count("mlflow models serve: missing, pip cannot install it here") == 2
    assert "OpenVINO int8: missing, pip install openvino nncf" in html
    assert "Missing: mlflow models serve: missing, pip cannot" in (folder / "report.md").read_text(encoding="utf-8")


def test_a_run_without_figures_still_gives_a_report() -> None:
    failed = serving()
    failed["servers"] = {"commentwise": {"what": "ours", "failed": "port taken"}}
    results: Results = {"serving": failed}
    assert section(results, "servers").answer.missing == ["commentwise: failed, port taken"]
    assert section(results, "overload").answer.text == "Not measured: no open loop."
    assert figures(results) == {}


def test_changes_are_part_of_the_report(html: str) -> None:
    text = Page(html).text
    assert re.search(r"Against the last commit: \d better", text)
    assert "serving/commentwise/against infinity" in text


def test_markdown_shows_existing_pictures_in_light_and_dark(folder: Path) -> None:
    text = (folder / "report.md").read_text(encoding="utf-8")
    shown = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert len(shown) == 10
    assert all((folder / name).stat().st_size > 3000 for name in shown)


def test_readme_changes_only_between_its_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{START}\nold figures\n{END}\n\nThe end.\n", encoding="utf-8")
    report = Report([], None, sections(everything(), "earlier results", {}))
    for _ in range(2):  # the second replaces the lines of the first
        write_readme(readme, report, Path("there"), everything())
        text = readme.read_text(encoding="utf-8")
        assert text.startswith(f"# Title\n\n{START}\n")
        assert text.endswith(f"{END}\n\nThe end.\n")
        assert text.count(START) == text.count(END) == 1
        assert "old figures" not in text
        assert "| infinity | 160 | 2.4 s | 2.0× |" in text
        assert "| mlflow models serve | not measured | | |" in text


@pytest.mark.parametrize("text", ["", START, f"{END}\n{START}", f"{START}{START}{END}"])
def test_readme_without_its_markers_is_not_changed(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    with pytest.raises(CommentwiseError, match=r"README\.md needs the line <!-- benchmarks"):
        write_readme(readme, Report([], None, []), Path("there"), {})
    assert readme.read_text(encoding="utf-8") == text


def test_published_results_have_their_types() -> None:
    assert set(REAL) == set(COMMANDS)


def test_a_broken_result_file_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "serving.json", [])
    with pytest.raises(
        CommentwiseError, match=r"serving\.json: the whole file: Input should be an object: run its benchmark"
    ):
        read_results(tmp_path)
    (tmp_path / "serving.json").write_text("{", encoding="utf-8")
    with pytest.raises(CommentwiseError, match=r"serving\.json is not valid JSON"):
        read_results(tmp_path)


def test_a_result_of_another_form_is_an_error_with_file_and_key(tmp_path: Path) -> None:
    result = serving()
    loop = measured_server(result, "infinity")["closed"]["32"]
    untyped = cast(dict[str, object], loop)
    untyped["request_per_second"] = untyped.pop("requests_per_second")
    write_json(tmp_path / "serving.json", result)
    key = r"servers\.infinity\.closed\.32\.requests_per_second"
    with pytest.raises(CommentwiseError, match=rf"serving\.json: {key}: Field required: run its benchmark again"):
        read_results(tmp_path)
    untyped["requests_per_second"] = "many"
    write_json(tmp_path / "serving.json", result)
    with pytest.raises(CommentwiseError, match=rf"serving\.json: {key}: .*valid number"):
        read_results(tmp_path)


def test_documents_are_up_to_date() -> None:
    assert (ROOT / "docs/int8.md").read_text(encoding="utf-8") == int8_page.render(REAL["int8"])
    datasets: dict[str, DatasetResult] = {name: REAL[name] for name in NAMES}
    page = results_page.render(datasets, read_datasets())
    assert (ROOT / results_page.PAGE).read_text(encoding="utf-8") == page


def test_report_without_earlier_results() -> None:
    assert section(everything(), "changes").answer.text == "There are no earlier results to compare with."
    assert changes({}, {}) == []
