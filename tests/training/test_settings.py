"""params.yaml: bad keys and values are errors of one line with key, value and what is allowed."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from commentwise.errors import CommentwiseError
from commentwise.training.params import read_params, write_params
from commentwise.training.settings import load_settings, parse_settings
from tests.training.conftest import PARAMS, params

Change = dict[str, Any]

# A change of params.yaml, and the parts of the message: key, value, allowed values.
BAD: dict[str, tuple[Change, list[str]]] = {
    "unknown key": ({"sede": 1}, ["sede is not a setting", "known: seed, labels, ordinal, max_tokens, data, prepare"]),
    "unknown nested key": (
        {"families__bert__epoch": 2},
        ["families.bert.epoch is not a setting", "known: checkpoint, epochs, patience"],
    ),
    "unknown column": ({"data__columns__stars": "stars"}, ["data.columns.stars is not a setting", "comment_id"]),
    "wrong type": ({"seed": "often"}, ["seed = 'often'", "should be a valid integer"]),
    "half an epoch": ({"families__bert__epochs": 1.5}, ["families.bert.epochs = 1.5", "valid integer"]),
    "number for a section": ({"prepare": 3}, ["prepare = 3", "dictionary"]),
    "list for a label": ({"labels": ["negative", []]}, ["labels.1 = []", "valid string"]),
    "labels that are the same number": ({"labels": [1, 1.0]}, ["labels must be distinct", "['1', '1']"]),
    "seed below zero": ({"seed": -1}, ["seed = -1", "greater than or equal to 0"]),
    "too few tokens": ({"max_tokens": 7}, ["max_tokens = 7", "greater than or equal to 8"]),
    "too many tokens": ({"max_tokens": 8193}, ["max_tokens = 8193", "less than or equal to 8192"]),
    "no epoch": ({"families__bert__epochs": 0}, ["families.bert.epochs = 0", "greater than or equal to 1"]),
    "infinite learning rate": (
        {"families__bert__learning_rate": float("inf")},
        ["families.bert.learning_rate = inf", "finite number"],
    ),
    "unknown precision": (
        {"families__bert__precision": "int8"},
        ["families.bert.precision = 'int8'", "'auto', 'fp32' or 'bf16'"],
    ),
    "one fold": ({"families__svm__folds": 1}, ["families.svm.folds = 1", "greater than or equal to 2"]),
    "nothing to choose from": ({"families__logreg__C": []}, ["families.logreg.C = []", "at least 1 item"]),
    "negative regularisation": (
        {"families__logreg__C": [1, -2]},
        ["families.logreg.C.1 = -2", "greater than 0"],
    ),
    "unknown class weight": (
        {"families__svm__class_weight": ["even"]},
        ["families.svm.class_weight.0 = 'even'", "balanced"],
    ),
    "share of everything": ({"prepare__test": 1.0}, ["prepare.test = 1.0", "less than 1"]),
    "shares too large together": (
        {"prepare__test": 0.5, "prepare__validation": 0.4},
        ["prepare", "validation = 0.4", "test = 0.5", "below 0.9"],
    ),
    "share of rejects": ({"data__max_rejected": 1.1}, ["data.max_rejected = 1.1", "less than or equal to 1"]),
    "few resamples": ({"evaluate__resamples": 99}, ["evaluate.resamples = 99", "greater than or equal to 100"]),
    "model name with a slash": ({"publish__model": "a/b"}, ["publish.model = 'a/b'", "should match pattern"]),
    "no candidate": ({"candidates": []}, ["candidates = []", "at least 1 item"]),
    "unknown candidate": (
        {"candidates": ["svm", "brt"]},
        ["candidates: 'brt' is not a family", "known: bert, logreg, svm"],
    ),
    "candidate twice": ({"candidates": ["svm", "svm"]}, ["candidates: ['svm', 'svm'] has a family twice"]),
    "one label": ({"labels": ["positive"]}, ["labels = ['positive']", "at least 2 items"]),
    "labels twice": ({"labels": ["a", "b", "a"]}, ["labels must be distinct", "['a', 'b', 'a']"]),
    "blank label": ({"labels": ["a", " "]}, ["labels must be", "not blank", "['a', ' ']"]),
    "label map to an unknown label": (
        {"data__label_map": {"0": "negative", "1": "so-so"}},
        ["data.label_map has the values ['so-so']", "['negative', 'neutral', 'positive']"],
    ),
    "label map with a key twice": (
        {"data__label_map": {"1": "negative", 1: "positive"}},
        ["data.label_map", "1 is twice among the keys", "'negative' and 'positive'"],
    ),
    "unknown time format": ({"data__time_format": "us"}, ["data.time_format", "'us'", "epoch_ms", "'%m/%d/%Y %H:%M'"]),
    "bad directive": ({"data__time_format": "%q"}, ["data.time_format", "'q' is a bad directive"]),
    "split to an unknown part": ({"data__splits": {"eval": "valid"}}, ["data.splits.eval = 'valid'", "'unlabelled'"]),
}


def refusal(content: Any) -> str:
    with pytest.raises(CommentwiseError) as caught:
        parse_settings(content, Path("params.yaml"))
    line = str(caught.value)
    assert line.startswith("params.yaml: ")
    assert "\n" not in line
    return line


def test_the_repositorys_params_load_and_are_frozen() -> None:
    settings = load_settings(PARAMS)
    assert settings.model_dump() == read_params(PARAMS)
    with pytest.raises(ValidationError, match="frozen"):
        settings.prepare.test = 0.3


@pytest.mark.parametrize(("change", "expected"), BAD.values(), ids=BAD.keys())
def test_a_bad_value_is_one_line_with_key_value_and_allowed_values(change: Change, expected: list[str]) -> None:
    line = refusal(params(**change))
    assert [words for words in expected if words not in line] == []


@pytest.mark.parametrize("key", ["seed", "data.columns.text", "families.bert.warmup", "export"])
def test_a_missing_key_is_an_error_with_its_name(key: str) -> None:
    content = section = params()
    *parents, name = key.split(".")
    for parent in parents:
        section = section[parent]
    del section[name]
    assert refusal(content) == f"params.yaml: {key} is missing"


def test_all_problems_are_reported_at_once() -> None:
    line = refusal(params(seed=-1, max_token=64, prepare__test=2, families__bert__epochs=0))
    assert line.count("; ") == 3
    assert [key for key in ("seed", "max_token ", "prepare.test", "families.bert.epochs") if key not in line] == []


def test_numbers_and_booleans_are_labels() -> None:
    content = params(labels=[1, 2.0, "no", False], data__label_map={0: 1, 1.5: 2, "2": "no", True: False})
    settings = parse_settings(content, PARAMS)
    assert settings.labels == ["1", "2", "no", "false"]
    assert settings.data.label_map == {"0": "1", "1.5": "2", "2": "no", "true": "false"}


def test_params_are_read_as_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("words: [no, yes, on, off, y, n]\nnumber: 3e-5\ntruth: [true, False]\n", encoding="utf-8")
    words, number, truth = read_params(path).values()
    assert (words, number, truth) == (["no", "yes", "on", "off", "y", "n"], 3e-5, [True, False])


def test_params_survive_writing_and_reading(tmp_path: Path) -> None:
    words: list[Any] = [
        "no",
        "yes",
        "off",
        "true",
        "null",
        "~",
        "3e-5",
        "1",
        "0x1f",
        "1:30",
        "a: b",
        "# c",
        " d ",
        "",
        "\n",
    ]
    content = {
        "z": [*words, "négatif", "🔥", 3e-5, 1e-12, 1.5, 7, True, None],
        "a": {"empty": {}, "b": []},
        "m": {0: "x"},
    }
    write_params(content, tmp_path / "params.yaml")
    assert read_params(tmp_path / "params.yaml") == content
    assert list(read_params(tmp_path / "params.yaml")) == ["z", "a", "m"]


def test_params_written_by_dvc_are_read_as_meant(tmp_path: Path) -> None:
    from dvc.utils.hydra import apply_overrides

    path = tmp_path / "params.yaml"
    write_params(params(), path)
    apply_overrides(path, ['labels=["no", "yes"]', "+data.label_map={0: no, 1.0: yes}", "tune.space.warmup=[3e-5]"])
    settings = load_settings(path)
    assert settings.labels == ["no", "yes"]
    assert settings.data.label_map == {"0": "no", "1": "yes"}
    assert settings.tune.space["warmup"] == [3e-5]


FILES = {
    "not YAML": (b"seed: [1, 2", "is not valid YAML"),
    "not text": (b"seed: \xff\xfe", "is not valid YAML"),
    "a list": (b"- seed", "has no settings"),
    "empty": (b"", "has no settings"),
}


@pytest.mark.parametrize(("content", "problem"), FILES.values(), ids=FILES.keys())
def test_a_file_without_settings_is_an_error(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(CommentwiseError, match=problem) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_error_with_the_folder_and_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"^no params\.yaml in .*: run the command in the project's folder$"):
        load_settings(tmp_path / "params.yaml")
