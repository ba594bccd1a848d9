"""The check, before an encoder is trained, that its architecture can be exported and then gives the same logits.

Exporting is the last step of a training that may take hours, and not every architecture survives it. What matters is the
architecture and not its size or weights, so a small model with random weights is exported and run in well under a second.
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PretrainedConfig, PreTrainedModel

from commentwise.errors import CommentwiseError, disk_is_full, first_line
from commentwise.models.encoders.classifier import StockClassifier
from commentwise.models.encoders.packing import pack
from commentwise.models.engine import Engine, padded

HEADS = LAYERS = 2
"""Size of the small model."""
GAIN = 5
"""Factor of the random matrices: from the usual standard deviation of 0.02 to about one over the root of their width."""
WIDTHS = (
    "hidden_size",
    "intermediate_size",
    "embedding_size",
    "input_embedding_size",
    "output_embedding_size",
    "pooler_hidden_size",
    "intra_bottleneck_size",
    "true_hidden_size",
    "d_inner",
)
"""Fields of configurations that are proportional to the number of heads."""
TOLERANCE = 0.01
"""Largest difference between the logits of graph and torch, as a share of the largest: rounding gives about 1e-6."""
PADDING_EFFECT = 0.02
"""Largest change of a comment's logits by padding, as a share of the largest, with new weights. ConvBERT and Nyströmformer
reach about 0.005 and stay within the limit of the stage export after training; YOSO and XLNet exceed both."""

Rows = Sequence[Sequence[int]]
Logits = NDArray[np.float32]


class NotServableError(CommentwiseError):
    """An encoder whose ONNX graph cannot be made or gives other logits; `reason` says why."""

    def __init__(self, checkpoint: str, architecture: str, reason: str) -> None:
        super().__init__(
            f"checkpoint {checkpoint!r} has the architecture {architecture}, which cannot be served ({reason}): "
            "name one of another architecture; docs/training.md lists those that work"
        )
        self.reason = reason


def check_export(model: PreTrainedModel, checkpoint: str, rows: Rows) -> str:
    """Export a small random model of the same architecture and compare its logits for `rows` with those of torch.

    `rows` has the token ids of comments of different lengths. Returns the reason if nothing could be checked, else an
    empty text. Raises NotServableError if the architecture cannot be exported, or if a comment would get other logits
    from the server than in training. Leaves the state of torch's random generator as it was.
    """
    architecture = model.config.model_type
    try:
        # Only here: the exporter pins transformers, and training also works with versions that it does not know.
        from commentwise.models.graphs.encoder import export_encoder
    except ImportError as error:
        return f"whether {architecture} can be exported was not checked, because the exporter cannot be imported ({first_line(error)})"
    with torch.random.fork_rng(devices=[]), TemporaryDirectory(prefix="export-check-") as folder:
        torch.default_generator.manual_seed(0)  # not torch.manual_seed, which seeds GPUs too
        small = small_model(model, rows)
        if small is None:
            return f"whether {architecture} can be exported was not checked, because no small model of it runs"
        if reason := _failure(small, rows, export_encoder, Path(folder)):
            raise NotServableError(checkpoint, architecture, reason)
    return ""


def small_model(model: PreTrainedModel, rows: Rows) -> PreTrainedModel | None:
    """A random model of the same class with two heads and layers, or only one of both; None if none can classify `rows`."""
    for steps in ((narrow, shorten), (narrow,), (shorten,)):
        config = copy.deepcopy(model.config)
        try:
            for step in steps:
                step(config)
            small: PreTrainedModel = type(model)(config).eval()
            _logits(small, rows)
        except Exception:  # each architecture has its own conditions on its sizes, and raises its own kinds
            continue
        return small
    return None


@torch.no_grad()
def _strengthen(model: PreTrainedModel) -> None:
    """Enlarge new weights: they are so small that a comment's logits would hardly depend on its tokens."""
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.mul_(GAIN)


def narrow(config: PretrainedConfig) -> None:
    """Reduce a configuration to two attention heads of the same size, and the other widths in proportion."""
    heads = config.num_attention_heads
    for name in {config.attribute_map.get(name, name) for name in WIDTHS}:
        if isinstance(width := getattr(config, name, None), int):
            setattr(config, name, width * HEADS // heads)
    config.num_attention_heads = HEADS


def shorten(config: PretrainedConfig) -> None:
    """Reduce a configuration to its first two layers, and so the fields with a list of values for each layer."""
    layers = config.num_hidden_layers
    for name, value in list(vars(config).items()):
        if isinstance(value, list | tuple) and len(value) == layers:
            setattr(config, name, value[:LAYERS])
    config.num_hidden_layers = min(LAYERS, layers)


def _failure(model: PreTrainedModel, rows: Rows, export: Callable[[Path, Path], None], folder: Path) -> str:
    """The reason why the server would not give the logits of training; empty if it would."""
    try:
        alone = np.concatenate([_logits(model, [row]) for row in rows])
        if (change := _difference(_logits(model, rows), alone)) > PADDING_EFFECT:
            return f"a comment's logits change by {change:.0%} with the padding of its batch"
        _strengthen(model)
        model.save_pretrained(folder / "model")
        export(folder / "model", folder / "fp32.onnx")
        with Engine(folder / "fp32.onnx") as engine:
            batches: tuple[Rows, ...] = (*([row] for row in rows), rows)
            change = max(_difference(engine.batch_logits(batch), _graph_logits(model, batch)) for batch in batches)
    except Exception as error:  # the exporter, ONNX Runtime and each architecture raise many kinds
        if disk_is_full(error):
            raise
        return first_line(error).replace(f"{folder}/", "")
    return f"the logits of its ONNX graph differ from torch's by {change:.0%}" if change > TOLERANCE else ""


@torch.no_grad()
def _logits(model: PreTrainedModel, rows: Rows) -> Logits:
    """The logits of one padded batch, as in training; shape (rows, labels)."""
    return np.asarray(StockClassifier(model)(pack(rows)).numpy())


@torch.no_grad()
def _graph_logits(model: PreTrainedModel, rows: Rows) -> Logits:
    """The logits of torch for the inputs of a graph; shape (rows, labels)."""
    inputs = {name: torch.from_numpy(values) for name, values in padded(rows).items()}
    return np.asarray(model(**inputs).logits.numpy())


def _difference(logits: Logits, expected: Logits) -> float:
    """The largest difference as a share of the largest expected logit; infinite if one is not finite."""
    change = np.abs(logits - expected).max() / np.abs(expected).max()
    return float(change) if np.isfinite(change) else float("inf")
