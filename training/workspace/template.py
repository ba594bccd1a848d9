"""The files of a project of one's own, made from those of the repository."""

import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from commentwise.training.params import dumped, read_params
from commentwise.training.workspace.stage import STAGES

FOLDER = Path(__file__).parent / "template"
"""Links to params.yaml, dvc.yaml (pipeline.yaml: DVC runs every file of the name dvc.yaml) and accelerate_config.yaml of the
repository, and the files that only a project has."""
INSTALLED = version("commentwise")
VERSION = "commentwise.yaml"
"""The file with the version of Commentwise, a parameter of every stage: after an upgrade the stages run again."""
DATA = "data/comments.csv"
OWN_FILES = {
    "README.md": "README.md",
    ".gitignore": "gitignore",
    "data/README.md": "data-card.md",
    ".github/workflows/commentwise.yml": "workflow.yml",
}
_RESULTS = ("data/", "artifacts/", "reports/", "${data.path}")
_STAGE = re.compile(rf"python -m commentwise\.training\.(?:\w+\.)?({'|'.join(STAGES)})\b")


def project_files() -> dict[str, str]:
    """The content of every file of a new project, by path."""
    own = {path: (FOLDER / name).read_text(encoding="utf-8") for path, name in OWN_FILES.items()}
    return {
        "params.yaml": params(),
        "dvc.yaml": pipeline(),
        "accelerate_config.yaml": (FOLDER / "accelerate_config.yaml").read_text(encoding="utf-8"),
        VERSION: version_file(),
        "requirements.txt": f"commentwise[train,serve,monitor]=={INSTALLED}\n",
        **own,
    }


def version_file() -> str:
    """The content of the file VERSION."""
    return f"# Written by `commentwise migrate`. Every stage depends on it.\nversion: {INSTALLED}\n"


def params() -> str:
    """The repository's params.yaml, with its comments, for other data."""
    text = (FOLDER / "params.yaml").read_text(encoding="utf-8")
    return re.sub(r"(?m)^  path: \S+", f"  path: {DATA}", text, count=1)


def all_candidates() -> list[str]:
    """The families that a new project trains."""
    return list(read_params(FOLDER / "params.yaml")["candidates"])


def pipeline() -> str:
    """The repository's dvc.yaml with stages that depend on the version of Commentwise instead of its code."""
    content = read_params(FOLDER / "pipeline.yaml")
    for stage in content["stages"].values():
        body: dict[str, Any] = stage.get("do", stage)
        body["cmd"] = _STAGE.sub(r"commentwise stage \1", body["cmd"])
        body["deps"] = [name for name in body["deps"] if name.startswith(_RESULTS)]
        body["params"] = [*body["params"], {VERSION: ["version"]}]
    content["plots"] = [plot for plot in content["plots"] if "benchmarks/" not in str(plot)]
    return f"# The pipeline, written by `commentwise init` and `commentwise migrate`.\n{dumped(content)}"
