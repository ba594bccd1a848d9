"""The files that make an uploaded bundle an MLflow model: MLmodel, the packages, and the code."""

import platform
import shutil
from importlib.metadata import version
from pathlib import Path

import mlflow
import yaml
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from commentwise.models.pyfunc import answer_types

CODE = "code"
MODULES = ("*.py", "comments/*.py", "models/*.py")
"""The code that a bundle needs. models.encoders and models.graphs are left out, because they need torch and onnx."""
PACKAGES = ("mlflow-skinny", "numpy", "onnxruntime", "pandas", "tokenizers")


def write_flavor(folder: Path, labels: list[str], run_id: str) -> None:
    """Write these files into `folder`, from which they are uploaded beside the bundle's files."""
    inputs = Schema([ColSpec(DataType.string, "text", required=False)])
    outputs = Schema([ColSpec(DataType[kind], name, required=False) for name, kind in answer_types(labels).items()])
    model = Model(run_id=run_id, signature=ModelSignature(inputs, outputs))
    mlflow.pyfunc.add_to_model(
        model, loader_module="commentwise.models.pyfunc", code=CODE, python_env="python_env.yaml"
    )
    model.save(str(folder / "MLmodel"))
    (folder / "requirements.txt").write_text(
        "".join(f"{name}=={version(name)}\n" for name in PACKAGES), encoding="utf-8"
    )
    environment = {"python": platform.python_version(), "dependencies": ["-r requirements.txt"]}
    (folder / "python_env.yaml").write_text(yaml.safe_dump(environment), encoding="utf-8")
    source, target = Path(__file__).parents[2], folder / CODE / "commentwise"
    for module in sorted(path for pattern in MODULES for path in source.glob(pattern)):
        copy = target / module.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module, copy)
