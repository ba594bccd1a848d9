"""Every command line in the documents is accepted by the parser of its command, every extra and make target exists."""

import argparse
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from typing import NamedTuple, NoReturn

import pytest

from commentwise import cli
from tests.docs.markdown import ROOT, blocks, files, spans, text_of

OWN = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "data/README.md")
DOCUMENTS = files(*OWN, "training/workspace/template/README.md")
OURS = re.compile(r"(commentwise|benchmarks)(\.|$)")
INCOMPLETE = re.compile("arguments are required|expected one argument")
EXTRAS = re.compile(r"(?:^\.|^commentwise)\[(.+)\]")


class Line(NamedTuple):
    """A command in a document."""

    document: str
    words: tuple[str, ...]
    whole: bool
    """In a block of code: it can be run as it is. A sentence may leave out arguments."""

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.words)}"


def commands_in(text: str) -> Iterator[list[str]]:
    """The commands of a shell's line or lines, without comments, variables and redirections."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:  # output, or a language other than the shell's
            continue
        command: list[str] = []
        for word in [*words, ";"]:
            if set(word) <= set("();<>|&"):
                yield command
                command = [">"] if set(word) <= set("<>") else []
            elif command or not re.match(r"[A-Z_]+=", word):
                command.append(word)


LINES = [
    Line(name, tuple(words), whole)
    for name in DOCUMENTS
    for whole, pieces in ((True, blocks(text_of(name))), (False, spans(text_of(name))))
    for piece in pieces
    for words in commands_in(piece)
    if words
]


class _Parsed(Exception):
    """A parser accepted its arguments."""


class _Refused(Exception):
    """A parser refused its arguments."""


@pytest.fixture(autouse=True)
def parsing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every command end where it has parsed its arguments."""
    parse = argparse.ArgumentParser.parse_args

    def parse_only(self: argparse.ArgumentParser, *arguments: object, **options: object) -> NoReturn:
        raise _Parsed(parse(self, *arguments, **options))

    def refuse(_: argparse.ArgumentParser, message: str) -> NoReturn:
        raise _Refused(message)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)
    monkeypatch.setattr("sys.argv", ["command"])


def problem(line: Line) -> str:
    """The objection of the command's parser; empty if it accepts the line, or the command is none of ours."""
    words = list(line.words)
    if words[0] != "commentwise":
        module = next((word for before, word in pairwise(words) if before == "-m"), "")
        if not OURS.match(module) or words[0] not in ("python", "accelerate"):
            return ""
        words = words[words.index(module) :]
    if words[1:2] == ["COMMAND"]:
        words[1] = "serve"
    try:
        if words[0] == "commentwise":
            cli.dispatch(words[1:] or ["--help"])
        else:
            sys.argv = words
            _module(words[0]).main()
    except (_Parsed, SystemExit):  # the latter after --help
        return ""
    except Exception as error:
        incomplete = not line.whole and INCOMPLETE.search(str(error))
        return "" if incomplete else f"{line}: {type(error).__name__}: {error}"
    return "" if words[1:] in (["--help"], ["--version"], []) else f"{line}: it did not parse its arguments"


def _module(name: str):  # type: ignore[no-untyped-def]
    module = import_module(name)
    return module if hasattr(module, "main") else import_module(f"{name}.__main__")


def test_every_command_line_is_accepted_by_its_parser() -> None:
    lines = [line for line in LINES if line.words[0] in ("commentwise", "python", "accelerate")]
    assert len(lines) > 100
    assert [found for line in lines if (found := problem(line))] == []


@pytest.mark.parametrize(
    ("command", "whole", "reason"),
    [
        ("commentwise serve --modle x", True, "--modle"),
        ("commentwise reproduce", True, "arguments are required"),
        ("commentwise reproduce", False, ""),
        ("commentwise publish now", False, "unrecognized arguments: now"),
        ("commentwise history --at", True, "expected one argument"),
        ("commentwise watch --evry 60", True, "evry"),
        ("commentwise nothing", False, "unknown command"),
        ("python -m benchmarks.nothing", True, "No module named"),
    ],
)
def test_a_wrong_command_line_is_found(command: str, whole: bool, reason: str) -> None:
    (words,) = (words for words in commands_in(command) if words)
    found = problem(Line("README.md", tuple(words), whole))
    assert reason in found
    assert bool(found) == bool(reason)


def test_every_extra_and_every_target_of_make_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, targets = set[str](), set[str]()
    for line in LINES:
        if "install" in line.words or "add" in line.words:
            found = [match[1] for word in line.words if (match := EXTRAS.match(word))]
            extras |= {extra.strip() for match in found for extra in match.split(",")}
        if line.words[0] == "make":
            targets |= {word for word in line.words[1:] if "=" not in word}
    assert extras
    assert extras - set(project["optional-dependencies"]) == set()
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "serve"} <= targets
    assert targets - known == set()
