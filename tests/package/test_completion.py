"""Completion scripts: they know every command, and bash completes names, flags and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from commentwise import completion
from commentwise.commands import COMMANDS
from tests.package.extras import ROOT

COMPLETE = """
eval "$(commentwise completion bash)"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_commentwise
printf '%s\\n' "${COMPREPLY[@]}"
COMPREPLY=()
PATH=
_commentwise
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with the command of this checkout."""
    folder = tmp_path_factory.mktemp("bin")
    command = folder / "commentwise"
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m commentwise "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


def completed(folder: Path, *words: str) -> list[str]:
    """The completions of the last word in bash. The second time there is no command to ask, only the cache."""
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = ["bash", "-c", COMPLETE, "bash", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    first, again = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert first == again
    return list(filter(None, first))


def test_bash_completes_commands_and_their_flags(folder: Path) -> None:
    assert completed(folder, "commentwise", "re") == ["report", "reproduce", "reference", "retrain"]
    assert completed(folder, "commentwise", "--v") == ["--version"]
    assert completed(folder, "commentwise", "score", "--out") == ["--output", "--output-format"]
    assert completed(folder, "commentwise", "watch", "--no-rec") == ["--no-record"]
    assert completed(folder, "commentwise", "score", "in") == []  # bash offers files
    assert completed(folder, "commentwise", "nothing", "--") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_knows_every_command(shell: str) -> None:
    script = completion.script(shell)
    assert "$NAMES" not in script
    assert "$DESCRIPTIONS" not in script
    for command in COMMANDS.values():
        assert command.name in script
        if shell != "bash":
            assert command.help.replace("'", r"'\''") in script


def test_flags_are_those_that_the_help_describes() -> None:
    assert completion.flags("run") == ["--help", "--set-param", "--force"]
    assert completion.flags("publish") == ["--help", "--other-labels"]
