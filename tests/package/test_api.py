"""The public API: lazy exports, examples that run, quiet imports, and the lint rule against bare names."""

import doctest
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import commentwise
from tests.package.conftest import SHORT_NAMES
from tests.package.extras import ROOT, run_with_extras

FOLDERS = ("commentwise", "comments", "models", "serving", "training", "monitoring")
EXAMPLES = sorted(
    str(path.relative_to(ROOT))
    for folder in FOLDERS
    for path in (ROOT / folder).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def in_new_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def test_public_names_are_imported_on_first_use() -> None:
    code = """
import sys, commentwise
print([name for name in sys.modules if name.startswith("commentwise.")])
commentwise.Client, commentwise.AsyncClient
print("onnxruntime" in sys.modules, "numpy" in sys.modules)
commentwise.Classifier
"""
    done = in_new_process(code)
    assert (done.stdout, done.stderr) == ("[]\nFalse False\n", "")


def test_each_name_needs_its_extra_alone(tiny_bundle: Path, tmp_path: Path) -> None:
    absent = "import importlib.util as util\nprint([name for name in {} if util.find_spec(name)])\n"
    client = absent.format(["numpy", "onnxruntime", "tokenizers", "pydantic"]) + (
        "from commentwise import AsyncClient, Client\nprint(Client('http://127.0.0.1:9', max_attempts=1).health())"
    )
    done = run_with_extras("client", client, tmp_path)
    assert (done.stdout, done.stderr) == ("[]\nFalse\n", "")
    model = absent.format(["httpx", "pydantic", "mlflow"]) + (
        f"import commentwise\nprint(commentwise.load({str(tiny_bundle)!r}).predict(['good'])[0].label)"
    )
    done = run_with_extras("model", model, tmp_path)
    assert done.stdout == "[]\npositive\n", done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert sorted(commentwise.__all__) == ["AsyncClient", "Classifier", "Client", "__version__", "load", "train"]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        commentwise.nothing  # noqa: B018


@pytest.mark.parametrize("path", EXAMPLES)
def test_examples_run(path: str) -> None:
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    module = import_module(name if name.startswith("commentwise") else f"commentwise.{name}")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ["comments.table", "training.registry.tracking"])
def test_pyspark_does_not_warn_about_pandas(name: str) -> None:
    done = in_new_process(f"import commentwise.{name}, sys; print('pyspark' in sys.modules)")
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.parametrize("name", SHORT_NAMES)
@pytest.mark.parametrize("form", ["import {}", "import {}.module", "from {} import name", "from {}.module import name"])
def test_bare_names_are_banned_by_lint(name: str, form: str) -> None:
    code = form.format(name) + "\n"
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--output-format", "concise", "-"]
    done = subprocess.run(command, input=code, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"import commentwise.{name}: the bare name may be another package's" in done.stdout
