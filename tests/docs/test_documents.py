"""The documents: links lead somewhere, and the commands they name exist."""

import importlib.util
import re

import pytest

from commentwise import commands as command_table
from tests.docs.markdown import DOCUMENTS, FENCED, ROOT, SPAN, blocks, files, prose, spans, text_of

COMMANDS = frozenset(command_table.COMMANDS)
HISTORY = ("CHANGELOG.md", "benchmarks/results/")
"""Documents that name commands as they were at the time."""

_LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"")
_COMMAND = re.compile(r"(?<![\w/.:@=-])commentwise ([a-z][a-z-]*)")
_MODULE = re.compile(r"(?<=[\s\"])-m(?:\", \"| )([a-z_]\w*(?:\.\w+)*)")


SCRIPTS = files("Makefile", ".ci", ".github/*.yml", "deploy", "dvc.yaml", "params.yaml", ":!*.json")
CURRENT = [name for name in (*DOCUMENTS, *SCRIPTS) if not name.startswith(HISTORY)]


def commands(name: str) -> set[str]:
    """The subcommands of `commentwise` that a file names: in its code, or elsewhere in backticks."""
    text = text_of(name)
    pieces = [*blocks(text), *spans(text)] if name.endswith(".md") else SPAN.findall(text)
    return {command for piece in pieces for command in _COMMAND.findall(piece)}


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_resolves(name: str) -> None:
    broken = []
    for groups in _LINK.findall(prose(text_of(name))):
        link = groups[0] or groups[1]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / name).parent / path if path else ROOT / name
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append(link)
    assert not broken


def test_every_command_in_documents_and_scripts_exists() -> None:
    named = {name: commands(name) - COMMANDS for name in CURRENT}
    assert {name: unknown for name, unknown in named.items() if unknown} == {}
    assert {"serve", "score", "publish"} <= commands("docs/index.md") | commands("README.md")  # the search finds some


def test_every_module_that_is_run_exists() -> None:
    found = {(name, module) for name in CURRENT for module in _MODULE.findall(text_of(name))}
    assert ("docs/training.md", "commentwise.training.bert") in found  # the search finds some
    assert {(name, module) for name, module in found if not exists(module)} == set()


def exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def test_every_document_is_reachable_from_the_readme() -> None:
    reached, queue = set[str](), ["README.md"]
    while queue:
        name = queue.pop()
        reached.add(name)
        for link, _ in _LINK.findall(prose(text_of(name))):
            path = ((ROOT / name).parent / link.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_file() and str(path.relative_to(ROOT)) not in reached:
                queue.append(str(path.relative_to(ROOT)))
    pages = {name for name in DOCUMENTS if not name.startswith((".github/", "reports/", "benchmarks/", "training/"))}
    assert pages - reached == set()
