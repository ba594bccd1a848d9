"""The study of int8 variants, on a random encoder, and its page."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification

from benchmarks.engines import int8, openvino_engine
from benchmarks.engines.int8_variants import REFERENCE, STATIC, make_variants
from benchmarks.engines.result import STUDY_SERVED, STUDY_WAYS, Int8Result
from benchmarks.report.int8_page import render
from benchmarks.result import parse_result
from commentwise.errors import CommentwiseError
from commentwise.models.engine import Engine
from commentwise.models.probabilities import softmax
from commentwise.training.choice.parity import in_batches
from commentwise.training.project import Project
from tests.checkpoints import sample_texts, write_checkpoint
from tests.training.conftest import PARAMS, WORDS, write_parts

ROWS = [[2, *range(5, 5 + length), 3] for length in (4, 9, 17, 6, 30)]


@pytest.fixture(scope="module")
def winner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("winner")
    checkpoint = write_checkpoint(folder / "checkpoint", sample_texts(200))
    AutoModelForSequenceClassification.from_pretrained(checkpoint, num_labels=3).save_pretrained(folder / "model")
    shutil.copyfile(checkpoint / "tokenizer.json", folder / "tokenizer.json")
    (folder / "evaluation.json").write_text(json.dumps({"temperature": 1.0}), encoding="utf-8")
    return folder


def test_every_variant_answers_like_fp32_and_fixed_scales_ignore_neighbours(winner: Path, tmp_path: Path) -> None:
    variants = make_variants(winner / "model", tmp_path, ROWS, with_openvino=False)
    with Engine(tmp_path / REFERENCE) as engine:
        expected = softmax(engine.logits(ROWS))
    assert [variant.name for variant in variants if variant.name.startswith("static")] == [
        f"static int8, {recipe.name}" for recipe in STATIC
    ]
    for variant in variants:
        with variant.open() as engine:
            alone = softmax(engine.logits(ROWS))
            together = softmax(in_batches(engine, ROWS, variant.concurrent_batches))
        np.testing.assert_allclose(alone, expected, atol=0.05, err_msg=variant.name)
        if variant.name.startswith("static"):
            np.testing.assert_allclose(together, alone, atol=1e-5, err_msg=variant.name)
        assert variant.precision != "int8" or variant.size < 0.6 * (tmp_path / REFERENCE).stat().st_size


@pytest.fixture(scope="module")
def measured(winner: Path, tmp_path_factory: pytest.TempPathFactory) -> Int8Result:
    """The result of a run without OpenVINO on a few comments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("root"))
        patch.setattr(int8, "ROUNDS", 1)
        patch.setattr(openvino_engine, "installed", lambda: False)
        shutil.copyfile(PARAMS, "params.yaml")
        shutil.copytree(winner, "artifacts/winner")
        write_parts(WORDS, train=20, held_out=12)
        return int8.run(Project(), limit=10)


@pytest.fixture
def result(measured: Int8Result) -> Int8Result:
    return copy.deepcopy(measured)


def test_the_page_has_every_variant_both_ways_and_names_missing_runtimes(result: Int8Result) -> None:
    page = render(result)
    assert result["test_comments"] == 10
    for variant in result["variants"]:
        for way in ("one at a time", "in batches"):
            assert f"| {variant['runtime']} | {variant['name']} | {way} | {variant['size'] / 1e6:.1f} |" in page
    assert "| OpenVINO | not installed here: `pip install openvino nncf` |" in page
    assert "OpenVINO was not measured, since it is not installed here" in page
    assert page.count("this is served") == 1


def test_the_conclusions_follow_the_figures(result: Int8Result) -> None:
    for variant in result["variants"]:
        for way in STUDY_WAYS:
            study = variant[way]
            study["comments_per_second"], study["agreement"], study["refused_because"] = 100.0, 0.99, []
            if variant["precision"] == "int8" and variant["name"] != STUDY_SERVED:
                study["refused_because"] = ["it is wrong"]
    assert "No other int8 variant of ONNX Runtime is within the limits." in render(result)
    moving = next(variant for variant in result["variants"] if "moving average" in variant["name"])
    moving["batches"]["comments_per_second"], moving["batches"]["refused_because"] = 120.0, []
    sentence = "static int8, moving average, smoothed in batches is fastest, at 1.20× that speed (more than the 1.1×"
    assert sentence in render(result)


def test_the_result_has_its_type(measured: Int8Result) -> None:
    assert parse_result(Int8Result, json.dumps(measured), "int8.json") == measured


def test_a_folder_in_which_no_encoder_won_is_an_error(tmp_path: Path) -> None:
    shutil.copyfile(PARAMS, tmp_path / "params.yaml")
    with pytest.raises(CommentwiseError, match=r"model is missing: run `commentwise run` there, or name a folder"):
        int8.run(Project(tmp_path))
