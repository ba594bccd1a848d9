"""The comparison of engines, on a small trained encoder."""

import json
import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.engines import __main__ as engines
from benchmarks.engines import matrix_peak
from benchmarks.engines.contenders import BUILDERS, CASCADE, INT8, PIPELINE, Answer, Contender
from benchmarks.engines.measure import Effort
from benchmarks.engines.result import EnginesResult, best_batch, measured_engines
from benchmarks.engines.speed import WINDOW, time_contender, timed_windows
from benchmarks.engines.subject import BUNDLE, SOURCES, make_subject
from benchmarks.families import ENCODER, LINEAR
from benchmarks.result import parse_result
from commentwise.errors import CommentwiseError
from commentwise.fileio import read_json
from commentwise.models.bundle import Classifier
from commentwise.training.choice import evaluate
from commentwise.training.families import catalog
from commentwise.training.project import Project
from commentwise.training.scores import Probabilities
from commentwise.training.settings import load_settings
from commentwise.training.train import read_task
from tests.checkpoints import sample_texts, write_checkpoint
from tests.training.conftest import WORDS, params, write_parts

pytestmark = pytest.mark.slow

EFFORT = Effort(rounds=2, seconds=0.02, batch_sizes=(1, 8), comments=None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the stages up to evaluate have run."""
    project = Project(tmp_path_factory.mktemp("trained"))
    checkpoint = write_checkpoint(project.root / "checkpoint", sample_texts(200))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        write_parts(WORDS, train=300, held_out=WINDOW)
    project.raw.parent.mkdir()
    shutil.copyfile(project.part("train"), project.raw)
    # fp32: accelerate keeps the precision of the process's first training.
    changes = {"families__bert__epochs": 1, "families__bert__precision": "fp32"}
    chosen = params(families__bert__checkpoint=str(checkpoint), **changes)
    project.params.write_text(yaml.safe_dump(chosen), encoding="utf-8")
    settings = load_settings(project.params)
    for name in (*LINEAR, ENCODER):
        family = catalog.families()[name]
        family.train(read_task(project, settings), settings.of(family), project.candidate(name))
        evaluate.evaluate(project, name, settings)
    return project


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the benchmark runs, apart from the project."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def measured(trained: Project, work: Path) -> EnginesResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        return engines.run(trained, EFFORT)


def test_every_engine_is_measured_or_reported_as_missing(measured: EnginesResult) -> None:
    assert set(measured["engines"]) == set(BUILDERS)
    done = measured_engines(measured["engines"])
    assert {PIPELINE, "torch fp32", "torch bf16", "ONNX Runtime fp32", "ONNX Runtime fp32, fused", INT8} <= set(done)
    for facts in done.values():
        assert list(facts["batches"]) == ["1", "8"]
        for found in facts["batches"].values():
            assert len(found["rounds"]) == EFFORT.rounds
            assert min(found["rounds"]) <= found["comments_per_second"] <= max(found["rounds"])
            assert found["latency_ms"] is not None
            assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]


def test_the_result_has_its_type(measured: EnginesResult) -> None:
    assert parse_result(EnginesResult, json.dumps(measured), "engines.json") == measured


def test_all_engines_in_fp32_give_the_same_labels(measured: EnginesResult) -> None:
    for name, facts in measured_engines(measured["engines"]).items():
        if facts["precision"] == "fp32" and name != CASCADE:
            assert facts["quality"]["agreement"] == 1, name
            assert facts["quality"]["largest_difference"] < 1e-4, name


def test_the_best_batch_size_does_not_depend_on_neighbours(measured: EnginesResult) -> None:
    """Dynamic int8 in batches does, and is not chosen even if it is faster."""
    int8 = measured_engines(measured["engines"])[INT8]
    assert int8["batches"]["8"]["neighbour_shift"] > 0
    if int8["batches"]["8"]["neighbour_label_changes"]:
        assert int8["best"] == "1"


def test_share_of_peak_is_speed_times_work_over_peak(measured: EnginesResult) -> None:
    facts = measured_engines(measured["engines"])["torch bf16"]
    done = best_batch(facts)["comments_per_second"] * measured["operations_per_comment"] / 1e9
    assert facts["share_of_peak"] == pytest.approx(done / measured["peak"]["bf16_gflops"]["value"], abs=1e-3)


def test_the_models_include_every_family(measured: EnginesResult, trained: Project) -> None:
    assert {"logreg", "svm", "bert", "bert, int8"} <= set(measured["models"])
    for family in ("logreg", "svm", "bert"):
        evaluated = read_json(trained.evaluated(family))["test"]["scores"]["macro_f1"]
        assert measured["models"][family]["macro_f1"]["value"] == pytest.approx(evaluated["value"], abs=1e-3)


def test_the_subject_is_written_once_and_again_when_the_candidate_changes(
    measured: EnginesResult, trained: Project, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(work)
    assert Classifier(BUNDLE).manifest.family == "bert"
    written = (BUNDLE / "manifest.json").stat().st_mtime_ns
    make_subject(trained)
    assert (BUNDLE / "manifest.json").stat().st_mtime_ns == written
    before = read_json(SOURCES)
    history = trained.candidate(ENCODER) / "history.jsonl"
    history.write_text(history.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    make_subject(trained)
    assert (BUNDLE / "manifest.json").stat().st_mtime_ns > written
    assert read_json(SOURCES) != before


def test_without_a_trained_candidate_the_error_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"artifacts/candidates/bert was not trained.*commentwise run"):
        make_subject(Project(tmp_path))


def test_all_windows_have_the_same_lengths() -> None:
    texts = ["x" * length for length in range(1, 5 * WINDOW + 1)]
    windows = timed_windows(texts)
    assert sorted(text for window in windows for text in window) == sorted(texts)
    sums = [sum(map(len, window)) for window in windows]
    assert max(sums) - min(sums) < 0.02 * max(sums)


def test_speed_counts_every_comment_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answered: list[str] = []

    def answer(texts: Sequence[str]) -> Probabilities:
        answered.extend(texts)
        return np.full((len(texts), 3), 1 / 3)

    window = [f"{number:03}" for number in range(WINDOW)]
    ticks = iter(range(1000))
    monkeypatch.setattr("benchmarks.engines.speed.time.perf_counter", lambda: float(next(ticks)))
    timing = time_contender(fake_contender(answer), answer, [window], 32, seconds=2.5)
    # One batch to warm up, a window at second 1 and another at second 2; at second 3 the time is up.
    assert timing.comments_per_second == 2 * WINDOW / 3
    assert sorted(answered[32 : 32 + WINDOW]) == window


def fake_contender(answer: Answer) -> Contender:
    return Contender("none", "fp32", "", 0, lambda: nullcontext(answer))


def test_a_peak_is_the_best_product_of_any_round(monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = iter([1.0, 5.0, 2.0] * 3 + [1.0, 7.0, 2.0] * 3)
    monkeypatch.setattr(matrix_peak, "_best", lambda *_: next(speeds))
    peak = matrix_peak.measure_peak(rounds=2, seconds=0)
    assert peak["int8_gops"] == {"value": 7.0, "rounds": [5.0, 7.0]}
