"""The head of a result: its command, machine, versions and commit."""

import shlex
import sys
from pathlib import Path

from benchmarks.result import Environment, Git, Head, Machine
from commentwise.models.cores import available_cores
from commentwise.training.provenance import environment_facts, git_facts
from commentwise.training.resources import processor_name


def run_facts(program: str) -> Head:
    """The command line of `program`, a module's name, with the machine, the versions and the commit."""
    return {
        "command": command_line(program),
        "machine": machine_facts(),
        "environment": environment(),
        "git": commit_facts(),
    }


def command_line(program: str) -> str:
    """This process's command as a user types it, for the module `program`."""
    return shlex.join(["python", "-m", program, *sys.argv[1:]])


def machine_facts() -> Machine:
    """Name and cores of the processor."""
    return {"processor": processor_name(), "cores": available_cores()}


def environment() -> Environment:
    """Python, system, and the versions of the packages that decide a result."""
    facts = environment_facts()
    return {"python": facts["python"], "system": facts["system"], "packages": facts["packages"]}


def commit_facts(folder: Path = Path()) -> Git:
    """The commit that is checked out in a folder, and the files that differ from it."""
    facts = git_facts(folder)
    return {"commit": facts["commit"], "dirty": facts["dirty"]}
