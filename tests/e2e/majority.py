"""A family for tests: it answers every comment with the label frequencies of the training part."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from pydantic import Field

from commentwise.fileio import atomic_folder
from commentwise.models.checkpoint import tokenizer_json
from commentwise.training.candidate import GRAPH, write_results
from commentwise.training.families.family import Family, Task
from commentwise.training.project import HELD_OUT
from commentwise.training.sections import Section


class MajoritySettings(Section):
    """Additive smoothing of the counts."""

    smoothing: float = Field(gt=0)


class Majority(Family[MajoritySettings]):
    """Answers every comment with the same probabilities."""

    name = "majority"
    settings_type = MajoritySettings

    def train(self, task: Task, settings: MajoritySettings, out: Path) -> dict[str, Any]:
        """Count the labels."""
        counts = np.bincount(task.parts["train"].targets, minlength=len(task.labels)) + settings.smoothing
        logits = np.log(counts / counts.sum()).astype(np.float32)
        with atomic_folder(out) as folder:
            (folder / "tokenizer.json").write_text(tokenizer_json(task.checkpoint), encoding="utf-8")
            onnx.save(graph(logits), folder / GRAPH)
            answers = {name: np.tile(logits, (len(task.parts[name].texts), 1)) for name in HELD_OUT}
            facts = {"family": self.name, "parameters": len(logits), "operations": 0}
            return write_results(folder, task.parts, answers, facts, [{"step": 1}])


def graph(logits: np.ndarray) -> onnx.ModelProto:
    """A graph that adds the logits to zeros in the shape of the batch."""
    nodes = [
        helper.make_node("Sub", ["input_ids", "input_ids"], ["nothing"]),
        helper.make_node("Cast", ["nothing"], ["zeros"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["zeros", "axis"], ["column"], keepdims=1),
        helper.make_node("Add", ["column", "constant"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(logits)])
    constants = [numpy_helper.from_array(logits, "constant"), numpy_helper.from_array(np.array([1]), "axis")]
    model = helper.make_model(
        helper.make_graph(nodes, "majority", inputs, [output], constants), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 10
    return model


FAMILIES = (Majority(),)
