"""The report: its figures are the results', what is missing is named, and its pages stand on their own."""

import copy
import csv
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.report.__main__ import QUESTIONS, sections, write
from benchmarks.report.compare import changes
from benchmarks.report.figures import RESULTS, figures, read_results
from benchmarks.report.overview import overview_chart, tiles
from benchmarks.report.pages import END, START, Report, write_html, write_readme
from benchmarks.report.section import Section
from commentwise.errors import CommentwiseError
from commentwise.fileio import write_json
from tests.benchmarks.samples import everything, serving, training

SOME = {"serving": serving(), "training": training()}
VOID = {"meta", "br", "img", "source", "link", "input"}
REAL = read_results(Path(__file__).parents[2] / RESULTS)


class Page(HTMLParser):
    """Checks that every element is closed in order; keeps ids, links and the text by section."""

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
    """The page of all results, real and made up, compared with a slower server before."""
    before, path = copy.deepcopy(everything()), tmp_path_factory.mktemp("page") / "index.html"
    slower(before["serving"], 0.5)
    results = REAL | everything()
    write_html(Report(tiles(results), overview_chart(results), sections(results, "the last commit", before)), path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole report, of two results."""
    folder = tmp_path_factory.mktemp("report")
    write(SOME, "the last commit", {}, folder)
    return folder


def slower(result: dict[str, Any], share: float) -> None:
    """Make our server answer this share of its requests."""
    ours = result["servers"]["commentwise"]
    ours["peak_per_second"] *= share
    for facts in ours["closed"].values():
        facts["requests_per_second"] *= share
        facts["rounds"] = [share * found for found in facts["rounds"]]


def section(results: dict[str, Any], name: str) -> Section:
    return next(found for found in sections(results, "earlier results", {}) if found.name == name)


def test_page_is_well_formed_and_asks_for_nothing_from_elsewhere(html: str) -> None:
    page = Page(html)
    assert not page.open
    assert len(page.ids) == len(set(page.ids))
    assert page.addresses
    assert all(address.startswith("#") and address[1:] in page.ids for address in page.addresses)
    assert not re.search(r"<script|@import|url\((?!#)", html)
    assert set(re.findall(r"https?://[^\s\"]+", html)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html


def test_every_drawing_is_xml_in_the_pages_own_colours_with_words_for_who_does_not_see_it(html: str) -> None:
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
        "ONNX Runtime int8, which is served, classifies 454 comments per second on 2 cores, 6.7× the speed of "
        "transformers pipeline, which people use today. The cascade, in which a linear model answers the 52% of comments "
        "that it is sure of, reaches 1,040, at −0.40 points of macro-F1 against fp32."
    )
    assert (
        "45% of what this machine's int8 matrix products could do: 454 of 1,000"
        in section(results, "limit").answer.text
    )
    assert (
        "320 requests per second, 80% of what its engine does without HTTP: 2.0× the best peer, infinity; 3.6× LitServe"
        in section(results, "servers").answer.text
    )
    assert (
        "asked 3× its peak (960), it still answers 100% of that peak, turns 67% away"
        in section(results, "overload").answer.text
    )
    assert (
        "loses 0.19 points of macro-F1 and gives 99.6% of fp32's labels, for 2.6× the speed"
        in section(results, "int8").answer.text
    )
    assert section(results, "models").answer.text.startswith(
        "Not for quality: logreg, the smallest (1.20 MB next to 90.9 MB), is 94×"
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


def test_results_become_the_same_figures() -> None:
    assert figures(everything())["engines/ONNX Runtime int8/share of the limit"].value == pytest.approx(45.4)
    servers, found = REAL["serving"]["servers"], figures(REAL)
    for name, facts in servers.items():
        if "closed" in facts:
            assert found[f"serving/{name}/speed"].value == facts["peak_per_second"]
    score = REAL["youtube"]["families"]["bert"]["test"]["scores"]["macro_f1"]
    assert found["youtube/bert/macro-F1"].low == pytest.approx(100 * score["low"])


@pytest.mark.parametrize("name", everything())
def test_results_that_are_not_there_are_named_with_the_command_that_writes_them(name: str) -> None:
    results = {key: value for key, value in everything().items() if key != name}
    asked = [question[0] for question in QUESTIONS if question[2] == (name,)]
    assert asked
    for question in asked:
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


def test_nothing_measured_of_a_run_still_makes_a_report() -> None:
    results = {"serving": serving() | {"servers": {"commentwise": {"what": "ours", "failed": "port taken"}}}}
    assert section(results, "servers").answer.missing == ["commentwise: failed, port taken"]
    assert section(results, "overload").answer.text == "Not measured: no open loop."
    assert figures(results) == {}


def test_what_changed_stands_in_the_report(html: str) -> None:
    text = Page(html).text
    assert re.search(r"Against the last commit: \d better", text)
    assert "serving/commentwise/against infinity" in text


def test_markdown_shows_pictures_that_are_there_in_light_and_dark(folder: Path) -> None:
    text = (folder / "report.md").read_text(encoding="utf-8")
    shown = re.findall(r'(?:src|srcset)="([^"]+)"', text)
    assert len(shown) == 10
    assert all((folder / name).stat().st_size > 3000 for name in shown)


def test_readme_changes_between_its_markers_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n\n{START}\nold figures\n{END}\n\nThe end.\n", encoding="utf-8")
    report = Report([], None, sections(everything(), "earlier results", {}))
    for _ in range(2):  # the second finds what the first wrote
        write_readme(readme, report, Path("there"), everything())
        text = readme.read_text(encoding="utf-8")
        assert text.startswith(f"# Title\n\n{START}\n")
        assert text.endswith(f"{END}\n\nThe end.\n")
        assert text.count(START) == text.count(END) == 1
        assert "old figures" not in text
        assert "| infinity | 160 | 2.4 s | 2.0× |" in text
        assert "| mlflow models serve | not measured | | |" in text


@pytest.mark.parametrize("text", ["", START, f"{END}\n{START}", f"{START}{START}{END}"])
def test_readme_without_its_markers_is_left_alone(tmp_path: Path, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text, encoding="utf-8")
    with pytest.raises(CommentwiseError, match=r"README\.md needs the line <!-- benchmarks"):
        write_readme(readme, Report([], None, []), Path("there"), {})
    assert readme.read_text(encoding="utf-8") == text


def test_a_broken_result_file_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "serving.json", [])
    with pytest.raises(CommentwiseError, match=r"serving\.json holds no JSON object"):
        read_results(tmp_path)
    (tmp_path / "serving.json").write_text("{", encoding="utf-8")
    with pytest.raises(CommentwiseError, match=r"serving\.json is no JSON"):
        read_results(tmp_path)


def test_report_says_so_when_there_is_nothing_to_compare_with() -> None:
    assert section(everything(), "changes").answer.text == "There are no earlier results to compare with."
    assert changes({}, {}) == []
