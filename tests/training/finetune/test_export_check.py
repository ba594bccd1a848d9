"""Before training, an architecture that could not be exported and served is refused."""

import sys
from pathlib import Path

import onnx
import pytest
import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    FNetConfig,
    FNetForSequenceClassification,
    MraConfig,
    MraForSequenceClassification,
    PreTrainedModel,
    XLNetConfig,
    XLNetForSequenceClassification,
)

from commentwise.models.graphs import encoder
from commentwise.training.families.bert import BERT
from commentwise.training.finetune import fine_tune
from commentwise.training.finetune.export_check import NotServableError, check_export
from commentwise.training.project import Project
from commentwise.training.train import read_task
from tests.training.conftest import WORDS, settings, write_parts

ROWS = [[2, *range(10, 60), 3], [2, 20, 30, 3]]
SMALL = {"vocab_size": 99, "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3}


def bert() -> PreTrainedModel:
    return BertForSequenceClassification(BertConfig(**SMALL, intermediate_size=96))


def xlnet() -> PreTrainedModel:
    return XLNetForSequenceClassification(XLNetConfig(vocab_size=2000, d_model=48, n_layer=3, n_head=3, d_inner=96))


def mra() -> PreTrainedModel:
    return MraForSequenceClassification(MraConfig(**SMALL, intermediate_size=96))


def test_bert_passes_and_no_random_numbers_are_drawn() -> None:
    model = bert()
    state = torch.random.get_rng_state()
    assert check_export(model, "some/name", ROWS) == ""
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            xlnet,
            r"architecture xlnet, .* \(a comment's logits change by \d+% with the padding of its batch\): name one",
        ),
        (mra, r"architecture mra, .* \(fp32.onnx takes \['input_ids'\], not input_ids and attention_mask"),
    ],
)
def test_an_architecture_that_cannot_be_served_is_refused(make: type, message: str) -> None:
    with pytest.raises(NotServableError, match=rf"^checkpoint 'some/name' has the {message}"):
        check_export(make(), "some/name", ROWS)


def test_a_graph_that_ignores_the_padding_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    export = encoder.export_encoder

    def without_mask(folder: Path, out: Path) -> None:
        export(folder, out)
        graph = onnx.load(out)
        for node in graph.graph.node:
            node.input[:] = ["ones" if name == "attention_mask" else name for name in node.input]
        graph.graph.node.insert(0, onnx.helper.make_node("Sub", ["input_ids", "input_ids"], ["zeros"]))
        graph.graph.node.insert(1, onnx.helper.make_node("Cos", ["float"], ["ones_float"]))
        graph.graph.node.insert(1, onnx.helper.make_node("Cast", ["zeros"], ["float"], to=onnx.TensorProto.FLOAT))
        graph.graph.node.insert(3, onnx.helper.make_node("Cast", ["ones_float"], ["ones"], to=onnx.TensorProto.INT64))
        onnx.save(graph, out)

    monkeypatch.setattr(encoder, "export_encoder", without_mask)
    with pytest.raises(NotServableError, match=r"the logits of its ONNX graph differ from torch's by \d+%"):
        check_export(bert(), "some/name", ROWS)


def test_what_cannot_be_checked_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    fnet = FNetForSequenceClassification(FNetConfig(vocab_size=99, hidden_size=32, num_hidden_layers=1))
    assert check_export(fnet, "some/name", ROWS).startswith("whether fnet can be exported was not checked, because no")
    monkeypatch.setitem(sys.modules, "commentwise.models.graphs.encoder", None)
    assert "because the exporter cannot be imported" in check_export(bert(), "some/name", ROWS)


def test_training_does_not_begin_with_such_an_architecture(
    work: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(*arguments: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr(fine_tune, "Trainer", begin)
    write_parts(WORDS, train=30, held_out=12)
    xlnet().save_pretrained(work / "xlnet")
    (work / "xlnet/tokenizer.json").write_bytes((checkpoint / "tokenizer.json").read_bytes())
    for folder, error in ((work / "xlnet", NotServableError), (checkpoint, AssertionError)):
        chosen = settings(families__bert__checkpoint=str(folder), families__bert__precision="fp32")
        with pytest.raises(error):
            BERT.train(read_task(Project(), chosen), chosen.of(BERT), work / "out")
        assert not (work / "out").exists()
