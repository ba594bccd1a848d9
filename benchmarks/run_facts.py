"""What stands at the head of every result: how it was made, where, and from what code."""

import shlex
import sys
from typing import Any

from commentwise.models.cores import available_cores
from commentwise.training.provenance import environment_facts, git_facts
from commentwise.training.resources import processor_name


def run_facts(program: str) -> dict[str, Any]:
    """The command line of `program`, a module's name, with the machine, the versions and the commit."""
    return {
        "command": shlex.join(["python", "-m", program, *sys.argv[1:]]),
        "machine": {"processor": processor_name(), "cores": available_cores()},
        "environment": environment_facts(),
        "git": git_facts(),
    }
