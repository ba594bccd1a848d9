"""The family bert: an encoder from any checkpoint, fine-tuned on the comments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commentwise.errors import CommentwiseError, disk_is_full, first_line
from commentwise.training.candidate import ENCODER
from commentwise.training.families.family import REFERENCE_GRAPH, Family, Graphs, Task
from commentwise.training.finetune.settings import BertSettings

if TYPE_CHECKING:
    from commentwise.training.families.family import Runner


class Bert(Family[BertSettings]):
    """An encoder with a classification head, trained by commentwise.training.finetune."""

    name = "bert"
    settings_type = BertSettings
    reproducible = False
    launched = "commentwise.training.bert"

    def train(self, task: Task, settings: BertSettings, out: Path) -> dict[str, Any]:
        """Fine-tune in this process. The stage trains with `launched`, in one process or several."""
        from accelerate import Accelerator

        from commentwise.training.finetune.fine_tune import fine_tune
        from commentwise.training.finetune.precision import mixed_precision

        return fine_tune(Accelerator(mixed_precision=mixed_precision(settings.precision)), task, settings, out)

    def write_graphs(self, candidate: Path, folder: Path, calibration: Sequence[Sequence[int]]) -> Graphs:
        """Export the encoder in fp32, with and without fused operators, in three variants of int8, and in fp16."""
        from commentwise.models.graphs import encoder
        from commentwise.models.graphs.smoothquant import smooth

        model = candidate / ENCODER

        def fuse(source: Path, out: Path) -> None:
            encoder.optimise(source, out, *encoder.attention_shape(model))

        def smooth_and_quantise(source: Path, out: Path) -> None:
            smoothed = out.with_name("smoothed.onnx")
            smooth(source, smoothed, calibration)
            encoder.quantise(smoothed, out)

        encoder.export_encoder(model, folder / REFERENCE_GRAPH)
        graphs = Graphs({REFERENCE_GRAPH: "fp32"})
        for name, precision, source, write in (
            ("fp32-optimised.onnx", "fp32", REFERENCE_GRAPH, fuse),
            ("int8.onnx", "int8", REFERENCE_GRAPH, encoder.quantise),
            ("int8-optimised.onnx", "int8", "fp32-optimised.onnx", encoder.quantise),
            ("int8-smoothed.onnx", "int8", REFERENCE_GRAPH, smooth_and_quantise),
            ("fp16.onnx", "fp16", REFERENCE_GRAPH, encoder.halve),
        ):
            try:
                if source in graphs.failures:
                    raise CommentwiseError(f"{source}: {graphs.failures[source]}")
                write(folder / source, folder / name)
                graphs.precisions[name] = precision
            except Exception as error:  # the tools raise many kinds for operators that they do not know
                if disk_is_full(error):
                    raise
                graphs.failures[name] = first_line(error)
        return graphs

    def original(self, candidate: Path) -> Runner:
        """The encoder in torch, in fp32 on all cores."""
        from commentwise.training.finetune.torch_engine import TorchEngine

        return TorchEngine(candidate / ENCODER)


BERT = Bert()
FAMILIES = (BERT,)
