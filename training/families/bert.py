"""The family bert: an encoder from any checkpoint, fine-tuned on the comments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commentwise.training.candidate import ENCODER
from commentwise.training.families.family import REFERENCE_GRAPH, Family, HistoryRow, Task
from commentwise.training.finetune.settings import BertSettings

if TYPE_CHECKING:
    from commentwise.training.families.family import Runner


class Bert(Family[BertSettings]):
    """An encoder with a classification head, trained by commentwise.training.finetune."""

    name = "bert"
    settings_type = BertSettings
    reproducible = False

    def train(
        self, task: Task, settings: BertSettings, out: Path, on_row: Callable[[HistoryRow], None] | None = None
    ) -> dict[str, Any]:
        """Fine-tune in this process. `accelerate launch -m commentwise.training.bert` trains with several."""
        from accelerate import Accelerator

        from commentwise.training.finetune.fine_tune import fine_tune
        from commentwise.training.finetune.precision import mixed_precision

        return fine_tune(Accelerator(mixed_precision=mixed_precision(settings.precision)), task, settings, out, on_row)

    def write_graphs(self, candidate: Path, folder: Path, calibration: Sequence[Sequence[int]]) -> dict[str, str]:
        """Export the encoder in fp32, with and without fused operators, in three variants of int8, and in fp16."""
        from commentwise.models.graphs import encoder
        from commentwise.models.graphs.smoothquant import smooth

        model = candidate / ENCODER
        reference, optimised, smoothed = (
            folder / name for name in (REFERENCE_GRAPH, "fp32-optimised.onnx", "smoothed.onnx")
        )
        encoder.export_encoder(model, reference)
        encoder.optimise(reference, optimised, *encoder.attention_shape(model))
        encoder.quantise(reference, folder / "int8.onnx")
        encoder.quantise(optimised, folder / "int8-optimised.onnx")
        smooth(reference, smoothed, calibration)
        encoder.quantise(smoothed, folder / "int8-smoothed.onnx")
        smoothed.unlink()
        encoder.halve(reference, folder / "fp16.onnx")
        return {
            REFERENCE_GRAPH: "fp32",
            optimised.name: "fp32",
            "int8.onnx": "int8",
            "int8-optimised.onnx": "int8",
            "int8-smoothed.onnx": "int8",
            "fp16.onnx": "fp16",
        }

    def original(self, candidate: Path) -> Runner:
        """The encoder in torch, in fp32 on all cores."""
        from commentwise.training.finetune.torch_engine import TorchEngine

        return TorchEngine(candidate / ENCODER)


BERT = Bert()
FAMILIES = (BERT,)
