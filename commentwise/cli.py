"""The command `commentwise`: finds the module of a command and runs it.

Nothing that a command needs is imported before that command runs, so `commentwise --help` is immediate.
"""

import sys
from importlib import import_module

from commentwise import __version__
from commentwise.commands import COMMANDS, GROUPS, Command
from commentwise.errors import CommentwiseError, end_on_ctrl_c, run_command


def main() -> None:
    """Run the command named on the command line."""
    run_command(lambda: dispatch(sys.argv[1:]))


def dispatch(arguments: list[str]) -> None:
    """Run a command line, given without the program's name.

    Raises CommentwiseError for an unknown command, or one whose libraries are not installed.
    """
    name, *rest = arguments or ["--help"]
    if name in ("-h", "--help"):
        print(help_text())
    elif name in ("-V", "--version"):
        print(f"commentwise {__version__}")
    else:
        _run(_command(name), rest)


def help_text() -> str:
    """The help of the tool: the commands by group."""
    width = max(map(len, COMMANDS))
    lines = [
        "usage: commentwise COMMAND [ARGUMENTS]",
        "",
        "Turn raw comments into a sentiment model that a team can trust.",
    ]
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {command.name:<{width}}  {command.help}" for command in commands)]
    return "\n".join(
        [*lines, "", "`commentwise COMMAND --help` describes a command, `commentwise --version` prints the version."]
    )


def _command(name: str) -> Command:
    if name in COMMANDS:
        return COMMANDS[name]
    from difflib import get_close_matches

    kind = "option" if name.startswith("-") else "command"
    nearest = get_close_matches(name, COMMANDS, n=1)
    way_out = f"did you mean `commentwise {nearest[0]}`?" if nearest else "`commentwise --help` lists the commands"
    raise CommentwiseError(f"unknown {kind} {name!r}: {way_out}")


def _run(command: Command, arguments: list[str]) -> None:
    sys.argv = [f"commentwise {command.name}", *arguments]
    end_on_ctrl_c(True)
    try:
        module = import_module(f"commentwise.{command.module}")
    except ModuleNotFoundError as error:
        if not command.extra or (error.name or "").partition(".")[0] == "commentwise":
            raise
        raise CommentwiseError(
            f"`commentwise {command.name}` needs the extra {command.extra!r}: pip install 'commentwise[{command.extra}]' "
            f"({error.name} is not installed)"
        ) from None
    finally:
        end_on_ctrl_c(False)
    module.main()
