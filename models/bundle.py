"""The bundle: a folder with one classifier, everything needed to run it, and the means to verify it.

Its files are tokenizer.json, one ONNX graph per precision (with a file of weights beside it if it exceeds 2 GB),
golden.json (a few texts with the probabilities that each graph gave when it was exported) and manifest.json, which
describes the rest. Nothing in it is unpickled.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from commentwise.comments.normalize import NORMALIZATION_VERSION, VERSIONS, normalizer
from commentwise.errors import CommentwiseError
from commentwise.fileio import file_hash, read_json
from commentwise.models.engine import Engine
from commentwise.models.explain import Explanation, exact, leave_one_out, rows_without, units_of
from commentwise.models.probabilities import softmax
from commentwise.models.tokens import encode, load_tokenizer

if TYPE_CHECKING:
    from commentwise.models.graphs.parts import LinearParts

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.json"
GOLDEN_TOLERANCE = {"fp32": 0.01, "fp16": 0.02, "int8": 0.1}
"""Max difference between a probability and the recorded one, by precision. int8 kernels round differently from one
processor generation to the next; a wrong tokenizer or graph differs by far more."""

_FIELDS: dict[str, type | tuple[type, ...]] = {
    "family": str,
    "checkpoint": str,
    "labels": list,
    "max_tokens": int,
    "normalization_version": int,
    "temperature": (int, float),
    "devices": dict,
    "files": dict,
    "metrics": dict,
    "data": dict,
    "params": dict,
    "git": dict,
    "environment": dict,
}


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.json, with the same names; docs/architecture.md describes each."""

    family: str
    checkpoint: str
    labels: list[str]
    max_tokens: int
    normalization_version: int
    temperature: float
    devices: dict[str, str]
    """Device (`cpu`, `cuda`) to the file name of the graph that is best on it."""
    files: dict[str, dict[str, Any]]
    """File name to sha256, size in bytes and, for graphs, precision and measured parity; for a cascade, its threshold."""
    metrics: dict[str, Any]
    data: dict[str, Any]
    params: dict[str, Any]
    git: dict[str, Any]
    environment: dict[str, Any]

    @property
    def normalize(self) -> Callable[[str], str]:
        """The text normalisation that the bundle was trained with."""
        return normalizer(self.normalization_version)

    @classmethod
    def from_json(cls, path: Path) -> Self:
        """Read and check a manifest. Raises CommentwiseError naming the field that is missing or invalid."""
        try:
            content = read_json(path)
        except FileNotFoundError:
            raise CommentwiseError(
                f"{path.parent} is not a bundle: it has no {MANIFEST}; create one with `commentwise run export`"
            ) from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise CommentwiseError(f"{path} is damaged ({error}): {_WAY_OUT}") from None
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != SCHEMA_VERSION:
            raise CommentwiseError(
                f"{path} has schema version {version!r} and this program reads {SCHEMA_VERSION}: export the bundle again, or install the version of commentwise that wrote it"
            )
        for name, kind in _FIELDS.items():
            if not isinstance(content.get(name), kind):
                raise CommentwiseError(f"{path} has no valid {name!r}: {_WAY_OUT}")
        for name, entry in content["files"].items():
            if not _valid_entry(name, entry):
                raise CommentwiseError(f"{path} has no valid entry for {name!r}: {_WAY_OUT}")
        for device, graph in content["devices"].items():
            if not isinstance(graph, str) or graph not in content["files"]:
                raise CommentwiseError(
                    f"{path} names the graph {graph!r} for {device!r} but does not list it: {_WAY_OUT}"
                )
        return cls(**{name: content[name] for name in _FIELDS})

    def graph_for(self, device: str, folder: Path, cascade: bool = False) -> str:
        """The file name of the graph for a device; with `cascade`, on the CPU, that of the cascade if there is one.

        Raises CommentwiseError if the bundle in `folder` has no graph for the device.
        """
        if device not in self.devices:
            raise CommentwiseError(
                f"the bundle {folder} has no graph for device {device!r}, only for {sorted(self.devices)}"
            )
        cascades = [name for name, entry in self.files.items() if "cascade" in entry]
        return cascades[0] if cascades and cascade and device == "cpu" else self.devices[device]


_WAY_OUT = "restore it with `dvc checkout`, or export it again with `commentwise run --force export`"


def _valid_entry(name: str, entry: Any) -> bool:
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("size"), int)
        or not isinstance(entry.get("sha256"), str)
    ):
        return False
    return not name.endswith(".onnx") or entry.get("precision") in GOLDEN_TOLERANCE


@dataclass(frozen=True)
class Prediction:
    """The prediction for one comment. `probabilities` are calibrated and in the order of the bundle's labels."""

    label: str
    probabilities: dict[str, float]
    tokens: int


class Classifier:
    """A verified bundle, loaded on one device.

    >>> Classifier("artifacts/bundle").predict(["best tutorial ever"])[0].label  # doctest: +SKIP
    'positive'
    """

    def __init__(
        self, folder: Path | str, device: str = "cpu", threads: int | None = None, index: int = 0, cascade: bool = False
    ) -> None:
        """Verify the bundle in `folder` and load the graph for `device`: `cpu`, or `cuda`, the GPU number `index`.

        `threads` limits the comments run at once on the CPU (default: the cores). `cascade` uses the bundle's cascade
        on the CPU, if it has one. Raises CommentwiseError if a file is missing or altered, the text normalisation has
        an unknown version, or the golden texts do not get the recorded probabilities.
        """
        self.folder = Path(folder)
        self.manifest = verify_files(self.folder)
        self.graph = self.manifest.graph_for(device, self.folder, cascade)
        self.tokenizer = load_tokenizer(self.folder / TOKENIZER, self.manifest.max_tokens)
        self.engine = Engine(self.folder / self.graph, device, threads, index)
        self._check_golden()

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probabilities of shape (texts, labels)."""
        return self._probabilities(self._encode(texts))

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Classify texts, in order."""
        rows = self._encode(texts)
        labels = self.manifest.labels
        return [
            Prediction(labels[int(row.argmax())], dict(zip(labels, row.tolist(), strict=True)), len(tokens))
            for row, tokens in zip(self._probabilities(rows), rows, strict=True)
        ]

    def explain(self, text: str, label: str | None = None) -> Explanation:
        """Explain the probability of `label` (default: the predicted one) by the weights of the text's words.

        Linear graphs are explained exactly, if the package onnx is installed, and others by leaving out one word at a
        time; the explanation names its method, and models/explain.py describes both. Raises CommentwiseError for a label
        that the bundle does not have.
        """
        labels = self.manifest.labels
        if label is not None and label not in labels:
            raise CommentwiseError(f"the bundle {self.folder} has no label {label!r}, only {', '.join(labels)}")
        normalized = self.manifest.normalize(text)
        encoding = self.tokenizer.encode(normalized)
        units = units_of(text, normalized, self.manifest.normalize, encoding)
        (whole,) = self._probabilities([encoding.ids])
        index = int(whole.argmax()) if label is None else labels.index(label)
        chosen, probability = labels[index], float(whole[index])
        if self._linear:
            parts, bias = self._linear.parts(encoding.ids, [unit.tokens for unit in units])
            return exact(text, units, chosen, probability, parts[:, index], bias[index])
        without = self._probabilities(rows_without(encoding.ids, units))[:, index]
        return leave_one_out(text, units, chosen, probability, without.tolist())

    @cached_property
    def _linear(self) -> "LinearParts | None":
        """The parts of the logits of a linear graph; None for other graphs, and without the package onnx."""
        try:
            from commentwise.models.graphs.parts import LinearParts
        except ImportError:
            return None
        return LinearParts.of(self.folder / self.graph)

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return encode(self.tokenizer, texts, self.manifest.normalization_version)

    def _probabilities(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        if not rows:
            return np.empty((0, len(self.manifest.labels)))
        return softmax(self.engine.logits(rows), self.manifest.temperature)

    def _check_golden(self) -> None:
        golden = read_json(self.folder / GOLDEN)
        if self.graph not in golden["probabilities"]:
            raise CommentwiseError(f"{self.folder / GOLDEN} has no probabilities of {self.graph}: {_WAY_OUT}")
        expected = np.array(golden["probabilities"][self.graph])
        precision = self.manifest.files[self.graph]["precision"]
        errors = np.abs(self.probabilities(golden["texts"]) - expected).max(axis=1)
        if not errors.max() <= GOLDEN_TOLERANCE[precision]:  # in this form, NaN is refused too
            raise CommentwiseError(
                f"{self.folder / self.graph} gives {golden['texts'][int(errors.argmax())]!r} probabilities that differ by {errors.max():.3f} from those "
                f"recorded at export (max {GOLDEN_TOLERANCE[precision]}): export the bundle again on a machine like this one"
            )


def verify_files(folder: Path) -> Manifest:
    """Verify every file of a bundle against its manifest and return the manifest.

    Raises CommentwiseError naming the first file that is missing, truncated or altered, or the version that differs.
    """
    if not folder.is_dir():
        raise CommentwiseError(f"no bundle at {folder}: create one with `commentwise run` or name another folder")
    manifest = Manifest.from_json(folder / MANIFEST)
    if manifest.normalization_version not in VERSIONS:
        raise CommentwiseError(
            f"the bundle {folder} was trained with text normalisation {manifest.normalization_version} and this program has {', '.join(map(str, sorted(VERSIONS)))}: "
            "train again, or install the version of commentwise that wrote it"
        )
    for name, entry in manifest.files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise CommentwiseError(f"the bundle {folder} lacks {name!r}: {_WAY_OUT}")
        if path.stat().st_size != entry["size"]:
            raise CommentwiseError(f"{path} has {path.stat().st_size} bytes instead of {entry['size']}: {_WAY_OUT}")
        if file_hash(path) != entry["sha256"]:
            raise CommentwiseError(f"{path} was altered since it was exported (its sha256 differs): {_WAY_OUT}")
    for required in (TOKENIZER, GOLDEN):
        if required not in manifest.files:
            raise CommentwiseError(f"the manifest of {folder} does not list {required}: {_WAY_OUT}")
    return manifest


def bundle_id(folder: Path) -> str:
    """The id of the bundle's content: sha256 of its manifest, which holds the hashes of all its files."""
    return file_hash(folder / MANIFEST)


def is_bundle(folder: Path, identifier: str) -> bool:
    """True if the folder holds the bundle with this id."""
    return (folder / MANIFEST).is_file() and bundle_id(folder) == identifier


def data_file(graph: Path) -> Path:
    """The file beside a graph with its weights, if they exceed the 2 GB of one ONNX file."""
    return graph.with_name(f"{graph.name}_data")


def write_manifest(folder: Path, fields: dict[str, Any], graphs: dict[str, dict[str, Any]]) -> None:
    """Write manifest.json for the files in `folder`.

    `graphs` maps the file name of each graph to its precision and parity; sizes and hashes are taken from the files.
    External data of a graph get an entry of their own.
    """
    entries = {name: _entry(folder / name) for name in (TOKENIZER, GOLDEN)}
    entries |= {name: _entry(folder / name) | facts for name, facts in graphs.items()}
    entries |= {data.name: _entry(data) for name in graphs if (data := data_file(folder / name)).is_file()}
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "normalization_version": NORMALIZATION_VERSION,
        **fields,
        "files": entries,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _entry(path: Path) -> dict[str, Any]:
    return {"sha256": file_hash(path), "size": path.stat().st_size}
