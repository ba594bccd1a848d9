import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest

from commentwise.comments.normalize import NORMALIZATION_VERSION
from commentwise.errors import CommentwiseError
from commentwise.fileio import file_hash
from commentwise.models.bundle import Classifier, bundle_id, verify_files
from commentwise.models.pyfunc import BundleModel
from tests.tiny import GRAPH, LABELS, add_cascade, tiny_graph, write_tiny_manifest

Damage = Callable[[Path], object]


def edit_manifest(folder: Path, **changed: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_entry(folder: Path, name: str, entry: dict[str, Any] | None) -> None:
    """Replace a file's entry in the manifest, or drop it."""
    files = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    edit_manifest(folder, files={**files, name: entry} if entry else {key: files[key] for key in files if key != name})


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def escape(folder: Path, name: str) -> None:
    """List the graph under another name, at which there is an intact copy."""
    shutil.copy(folder / GRAPH, folder / name)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    edit_manifest(folder, files=files | {name: files[GRAPH]})


def replace_graph(folder: Path, strength: float) -> None:
    """Replace the weights of the graph, and write a manifest that matches."""
    onnx.save(tiny_graph(strength), folder / GRAPH)
    write_tiny_manifest(folder)


def alter_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"good"', '"goof"'))


REFUSALS: dict[str, tuple[Damage, list[str]]] = {
    "missing folder": (shutil.rmtree, ["no bundle at", "commentwise run"]),
    "missing manifest": (
        lambda folder: (folder / "manifest.json").unlink(),
        ["manifest.json", "commentwise run export"],
    ),
    "broken manifest": (
        lambda folder: (folder / "manifest.json").write_text('{"schema_version": 1,'),
        ["manifest.json is damaged", "dvc checkout"],
    ),
    "manifest that is a list": (
        lambda folder: (folder / "manifest.json").write_text("[]"),
        ["manifest.json", "schema version None", "export the bundle again"],
    ),
    "other schema version": (
        lambda folder: edit_manifest(folder, schema_version=99),
        ["manifest.json", "schema version 99", "export the bundle again"],
    ),
    "field of the wrong type": (
        lambda folder: edit_manifest(folder, labels="positive"),
        ["manifest.json", "'labels'", "dvc checkout"],
    ),
    "other normalisation": (
        lambda folder: edit_manifest(folder, normalization_version=NORMALIZATION_VERSION + 1),
        [f"normalisation {NORMALIZATION_VERSION + 1}", f"has 1, {NORMALIZATION_VERSION}:", "train again"],
    ),
    "missing graph": (lambda folder: (folder / GRAPH).unlink(), [GRAPH, "dvc checkout"]),
    "truncated graph": (lambda folder: truncate(folder / GRAPH), [GRAPH, "bytes instead of", "dvc checkout"]),
    "one flipped byte": (lambda folder: flip_a_byte(folder / GRAPH), [GRAPH, "was altered", "dvc checkout"]),
    "altered tokenizer": (alter_tokenizer, ["tokenizer.json", "was altered", "dvc checkout"]),
    "graph not listed": (lambda folder: edit_entry(folder, GRAPH, None), ["does not list", GRAPH, "dvc checkout"]),
    "golden texts not listed": (
        lambda folder: edit_entry(folder, "golden.json", None),
        ["does not list", "golden.json", "dvc checkout"],
    ),
    "entry without a hash": (lambda folder: edit_entry(folder, GRAPH, {"size": 1}), [GRAPH, "entry", "dvc checkout"]),
    "graph of unknown precision": (
        lambda folder: edit_entry(folder, GRAPH, {"size": 1, "sha256": "0", "precision": "fp3"}),
        [GRAPH, "entry", "dvc checkout"],
    ),
    "file outside of the folder": (lambda folder: escape(folder, "../x"), ["'../x'", "dvc checkout"]),
    "other weights": (
        lambda folder: replace_graph(folder, -6.0),
        [GRAPH, "probabilities", "export the bundle again"],
    ),
}


@pytest.mark.parametrize(("damage", "messages"), REFUSALS.values(), ids=REFUSALS.keys())
def test_an_invalid_bundle_is_refused(bundle_copy: Path, damage: Damage, messages: list[str]) -> None:
    damage(bundle_copy)
    with pytest.raises(CommentwiseError) as refused:
        Classifier(bundle_copy)
    reason = str(refused.value)
    assert str(bundle_copy) in reason
    assert [message for message in messages if message not in reason] == []
    assert "\n" not in reason


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_graph_with_nan_logits_is_refused(bundle_copy: Path) -> None:
    replace_graph(bundle_copy, float("nan"))
    with pytest.raises(CommentwiseError):
        Classifier(bundle_copy)


def test_a_device_without_a_graph_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(CommentwiseError, match=r"no graph for device 'cuda', only for \['cpu'\]"):
        Classifier(tiny_bundle, "cuda")


def test_a_cascade_is_used_on_request(bundle_copy: Path) -> None:
    add_cascade(bundle_copy, threshold=0.9)
    texts = ["good great love", "good a video"]  # confident, and less so
    assert [prediction.label for prediction in Classifier(bundle_copy).predict(texts)] == ["positive", "positive"]
    assert [prediction.label for prediction in Classifier(bundle_copy, cascade=True).predict(texts)] == [
        "positive",
        "neutral",
    ]


def test_a_bundle_without_a_cascade_uses_its_graph(tiny_bundle: Path) -> None:
    assert Classifier(tiny_bundle, cascade=True).graph == GRAPH


def test_predictions_are_in_the_order_of_the_texts(tiny_bundle: Path) -> None:
    predictions = Classifier(tiny_bundle).predict(["good", "a bad video", "a video"])
    assert [prediction.label for prediction in predictions] == ["positive", "negative", "neutral"]
    assert [prediction.tokens for prediction in predictions] == [3, 5, 4]
    for prediction in predictions:
        assert list(prediction.probabilities) == LABELS
        assert sum(prediction.probabilities.values()) == pytest.approx(1)
        assert prediction.probabilities[prediction.label] == max(prediction.probabilities.values())
    assert predictions[0].probabilities["positive"] > 0.9


def test_no_texts_give_no_predictions(tiny_bundle: Path) -> None:
    classifier = Classifier(tiny_bundle)
    assert classifier.predict([]) == []
    assert classifier.probabilities([]).shape == (0, len(LABELS))


def test_a_higher_temperature_lowers_confidence(tiny_bundle: Path, bundle_copy: Path) -> None:
    golden = json.loads((bundle_copy / "golden.json").read_text())
    logits = np.log(np.array(golden["probabilities"][GRAPH])) / 2
    golden["probabilities"][GRAPH] = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).tolist()
    (bundle_copy / "golden.json").write_text(json.dumps(golden))
    write_tiny_manifest(bundle_copy, temperature=3.0)  # twice that of the tiny bundle
    (sharp,) = Classifier(tiny_bundle).predict(["good"])
    (soft,) = Classifier(bundle_copy).predict(["good"])
    assert sharp.label == soft.label == "positive"
    assert soft.probabilities["positive"] < sharp.probabilities["positive"]


def test_the_bundle_id_depends_on_the_content(tiny_bundle: Path, bundle_copy: Path) -> None:
    assert bundle_id(bundle_copy) == bundle_id(tiny_bundle)
    replace_graph(bundle_copy, 5.0)
    assert bundle_id(bundle_copy) != bundle_id(tiny_bundle)


def test_the_manifest_describes_the_bundle(tiny_bundle: Path) -> None:
    manifest = verify_files(tiny_bundle)
    assert (manifest.family, manifest.labels, manifest.devices) == ("logreg", LABELS, {"cpu": GRAPH})


def test_a_bundle_is_run_with_the_normalisation_it_was_trained_with(tiny_bundle: Path, bundle_copy: Path) -> None:
    """Version 1 keeps HTML tags: it reads `<`, `br` and `>` where later versions read nothing."""
    write_tiny_manifest(bundle_copy, normalization_version=1)
    old, new = Classifier(bundle_copy), Classifier(tiny_bundle)
    assert [each.predict(["good<br>video"])[0].tokens for each in (old, new)] == [7, 4]
    table = pd.DataFrame({"text": ["<br>", "good"]})
    assert [BundleModel(each).predict(table)["label"].tolist() for each in (old, new)] == [
        ["neutral", "positive"],
        ["", "positive"],
    ]


@pytest.fixture
def large_bundle(bundle_copy: Path) -> Path:
    """The tiny bundle with its weights beside the graph, as those of a model over 2 GB are."""
    data = f"{GRAPH}_data"
    onnx.save(tiny_graph(), bundle_copy / GRAPH, save_as_external_data=True, location=data, size_threshold=0)
    write_tiny_manifest(bundle_copy)
    return bundle_copy


def test_weights_beside_a_graph_belong_to_the_bundle(large_bundle: Path) -> None:
    data = large_bundle / f"{GRAPH}_data"
    entry = verify_files(large_bundle).files[data.name]
    assert entry == {"sha256": file_hash(data), "size": data.stat().st_size}
    assert Classifier(large_bundle).predict(["a good video"])[0].label == "positive"


@pytest.mark.parametrize(
    ("damage", "message"),
    [(Path.unlink, "lacks 'fp32.onnx_data'"), (flip_a_byte, "was altered"), (truncate, "bytes instead of")],
    ids=["missing", "altered", "truncated"],
)
def test_damaged_weights_beside_a_graph_are_refused(large_bundle: Path, damage: Damage, message: str) -> None:
    damage(large_bundle / f"{GRAPH}_data")
    with pytest.raises(CommentwiseError, match=message):
        verify_files(large_bundle)
