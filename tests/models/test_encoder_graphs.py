"""Exported encoders of several architectures have one signature and the logits of torch."""

import errno
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ErnieConfig,
    ErnieForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from commentwise.models.engine import Engine
from commentwise.models.graphs import encoder as onnx_export
from commentwise.models.graphs import storage
from commentwise.models.graphs.smoothquant import smooth
from commentwise.training.families.bert import BERT

LABELS = 4
ROWS = [[5, 8, 13, 21], [34, 55], [3, 4, 5, 6, 7, 8, 9, 10, 11]]


SMALL = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def bert() -> PreTrainedModel:
    return BertForSequenceClassification(BertConfig(**SMALL, num_labels=LABELS))


def roberta() -> PreTrainedModel:
    return RobertaForSequenceClassification(RobertaConfig(**SMALL, num_labels=LABELS, type_vocab_size=1))


def distilbert() -> PreTrainedModel:
    return DistilBertForSequenceClassification(
        DistilBertConfig(vocab_size=99, dim=32, n_layers=2, n_heads=2, hidden_dim=64, num_labels=LABELS)
    )


def ernie() -> PreTrainedModel:
    """An architecture that the exporter has no configuration for."""
    return ErnieForSequenceClassification(ErnieConfig(**SMALL, num_labels=LABELS))


@pytest.fixture(params=[bert, roberta, distilbert, ernie])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    torch.manual_seed(0)
    model: PreTrainedModel = request.param().eval()
    return model


@torch.no_grad()
def torch_logits(model: PreTrainedModel) -> np.ndarray:
    return np.concatenate(
        [model(input_ids=torch.tensor([row]), attention_mask=torch.ones(1, len(row))).logits.numpy() for row in ROWS]
    )


def test_every_precision_gives_the_logits_of_torch(model: PreTrainedModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "model")
    expected = torch_logits(model)
    fp32, optimised = tmp_path / "fp32.onnx", tmp_path / "optimised.onnx"
    onnx_export.export_encoder(tmp_path / "model", fp32)
    onnx_export.optimise(fp32, optimised, heads=2, hidden=32)
    onnx_export.quantise(optimised, tmp_path / "int8.onnx")
    onnx_export.quantise(fp32, tmp_path / "int8-plain.onnx")
    onnx_export.halve(fp32, tmp_path / "fp16.onnx")
    for name, tolerance in {"fp32": 1e-5, "optimised": 1e-5, "fp16": 0.01, "int8": 0.05, "int8-plain": 0.05}.items():
        with Engine(tmp_path / f"{name}.onnx") as engine:
            np.testing.assert_allclose(engine.logits(ROWS), expected, atol=tolerance, err_msg=name)
            if not name.startswith("int8"):  # whose activation scale depends on the batch
                np.testing.assert_allclose(engine.batch_logits(ROWS), expected, atol=tolerance, err_msg=name)
    assert (tmp_path / "int8.onnx").stat().st_size < fp32.stat().st_size


def test_smoothing_keeps_fp32_and_improves_int8(tmp_path: Path) -> None:
    """A model with one activation channel far larger than the others, as trained encoders have."""
    torch.manual_seed(0)
    model = bert().eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("attention.output.LayerNorm.weight"):
                weight[3] = 60.0
            elif "dense.weight" in name:
                weight *= 10  # random weights are so small that the products would not matter
    model.save_pretrained(tmp_path / "model")
    expected = torch_logits(model)
    onnx_export.export_encoder(tmp_path / "model", tmp_path / "fp32.onnx")
    smooth(tmp_path / "fp32.onnx", tmp_path / "smoothed.onnx", ROWS)
    errors = {}
    for name in ("fp32", "smoothed"):
        onnx_export.quantise(tmp_path / f"{name}.onnx", tmp_path / f"{name}-int8.onnx")
        with Engine(tmp_path / f"{name}-int8.onnx") as engine:
            errors[name] = np.abs(engine.logits(ROWS) - expected).mean()
    with Engine(tmp_path / "smoothed.onnx") as engine:
        np.testing.assert_allclose(engine.logits(ROWS), expected, atol=1e-4)
    assert errors["smoothed"] < 0.8 * errors["fp32"]


def test_smoothing_leaves_weights_alone_that_several_layers_share(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = AlbertConfig(**SMALL, embedding_size=16, num_labels=LABELS)
    model = AlbertForSequenceClassification(config).eval()
    model.save_pretrained(tmp_path / "model")
    onnx_export.export_encoder(tmp_path / "model", tmp_path / "fp32.onnx")
    smooth(tmp_path / "fp32.onnx", tmp_path / "smoothed.onnx", ROWS)
    with Engine(tmp_path / "smoothed.onnx") as engine:
        np.testing.assert_allclose(engine.logits(ROWS), torch_logits(model), atol=1e-4)


def test_graphs_over_the_size_of_one_file_keep_their_weights_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With limits so small that a tiny model exceeds them."""
    monkeypatch.setattr(storage, "MAX_BYTES", 10_000)
    monkeypatch.setenv("FORCE_ONNX_EXTERNAL_DATA", "1")  # optimum then does as with a model over 2 GB
    torch.manual_seed(0)
    model = bert().eval()
    model.save_pretrained(tmp_path / "model")
    folder = tmp_path / "graphs"
    folder.mkdir()
    fp32, optimised, smoothed = (folder / name for name in ("fp32.onnx", "optimised.onnx", "smoothed.onnx"))
    onnx_export.export_encoder(tmp_path / "model", fp32)
    onnx_export.optimise(fp32, optimised, heads=2, hidden=32)
    smooth(fp32, smoothed, ROWS)
    onnx_export.halve(fp32, folder / "fp16.onnx")
    onnx_export.quantise(optimised, folder / "int8.onnx")
    names = ["fp16.onnx", "fp32.onnx", "int8.onnx", "optimised.onnx", "smoothed.onnx"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, *(f"{name}_data" for name in names)])
    expected = torch_logits(model)
    for name in names:
        assert (folder / name).stat().st_size < (folder / f"{name}_data").stat().st_size
        with Engine(folder / name) as engine:
            np.testing.assert_allclose(engine.logits(ROWS), expected, atol=0.05 if "int8" in name else 0.01)
    monkeypatch.setattr(storage, "MAX_BYTES", 10_000_000)
    onnx_export.quantise(fp32, folder / "small.onnx")
    assert not (folder / "small.onnx_data").exists()  # int8 is small enough for one file
    with Engine(folder / "small.onnx") as engine:
        np.testing.assert_allclose(engine.logits(ROWS), expected, atol=0.05)


def test_a_variant_that_cannot_be_written_is_dropped_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise NotImplementedError("no such operator: Fancy\nwith details")

    bert().save_pretrained(tmp_path / "candidate" / "model")
    monkeypatch.setattr(onnx_export, "optimise", fail)
    monkeypatch.setattr(onnx_export, "halve", fail)
    folder = tmp_path / "graphs"
    folder.mkdir()
    graphs = BERT.write_graphs(tmp_path / "candidate", folder, ROWS)
    assert graphs.precisions == {"fp32.onnx": "fp32", "int8.onnx": "int8", "int8-smoothed.onnx": "int8"}
    assert graphs.failures == {
        "fp32-optimised.onnx": "no such operator: Fancy",
        "int8-optimised.onnx": "fp32-optimised.onnx: no such operator: Fancy",
        "fp16.onnx": "no such operator: Fancy",
    }


def test_a_full_disk_is_no_reason_to_drop_a_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    bert().save_pretrained(tmp_path / "candidate" / "model")
    monkeypatch.setattr(onnx_export, "quantise", fail)
    with pytest.raises(OSError, match="No space left"):
        BERT.write_graphs(tmp_path / "candidate", tmp_path, ROWS)
