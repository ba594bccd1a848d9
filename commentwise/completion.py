"""Print a script that completes the commands, their flags and file names.

  commentwise completion bash > ~/.local/share/bash-completion/completions/commentwise
  commentwise completion zsh > "${fpath[1]}/_commentwise"
  commentwise completion fish > ~/.config/fish/completions/commentwise.fish

A command's flags are read from its `--help` when they are first completed, and kept for the life of the shell: so they
are always those of the installed version, and no library is loaded for the names alone.
"""

import argparse
import io
import re
from contextlib import redirect_stdout, suppress

from commentwise.cli import dispatch
from commentwise.commands import COMMANDS

BASH = r"""
_commentwise() {
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "$NAMES --help --version" -- "$word"))
    elif [[ $word == -* && " $NAMES " == *" $command "* ]]; then
        local cache=_commentwise_flags_$command
        [[ -n ${!cache} ]] || printf -v "$cache" %s "$("${COMP_WORDS[0]}" completion --flags "$command" 2>/dev/null)"
        COMPREPLY=($(compgen -W "${!cache}" -- "$word"))
    fi
}
complete -o default -F _commentwise commentwise
"""

ZSH = r"""
#compdef commentwise
typeset -gA _commentwise_flags
_commentwise() {
    local -a names=($NAMES) commands=(
$DESCRIPTIONS
    )
    local command=$words[2]
    if ((CURRENT == 2)); then
        _describe command commands
        compadd -- --help --version
    elif [[ $PREFIX == -* && -n ${names[(r)$command]} ]]; then
        [[ -n $_commentwise_flags[$command] ]] ||
            _commentwise_flags[$command]=$($words[1] completion --flags $command 2>/dev/null)
        compadd -- ${(f)_commentwise_flags[$command]}
    else
        _files
    fi
}
if [[ $funcstack[1] == _commentwise ]]; then _commentwise "$@"; else compdef _commentwise commentwise; fi
"""

FISH = r"""
function __commentwise_flags
    set -l command (commandline -opc)[2]
    string match -q -- '-*' (commandline -ct); and contains -- $command $NAMES; or return
    set -l cache __commentwise_flags_$command
    set -q $cache; or set -g $cache (commentwise completion --flags $command 2>/dev/null)
    printf '%s\n' $$cache
end
complete -c commentwise -n 'not __fish_use_subcommand' -a '(__commentwise_flags)'
complete -c commentwise -n __fish_use_subcommand -f -l help -d 'show the help'
complete -c commentwise -n __fish_use_subcommand -f -l version -d 'show the version'
$DESCRIPTIONS
"""


def main() -> None:
    """Print the script of a shell, or the flags of a command."""
    parser = argparse.ArgumentParser(
        prog="commentwise completion", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("shell", nargs="?", choices=("bash", "zsh", "fish"), help="the shell that runs the script")
    wanted.add_argument("--flags", choices=tuple(COMMANDS), metavar="COMMAND", help="print this command's flags")
    arguments = parser.parse_args()
    print("\n".join(flags(arguments.flags)) if arguments.flags else script(arguments.shell))


def script(shell: str) -> str:
    """The completion script of `bash`, `zsh` or `fish`."""
    if shell == "bash":
        template, descriptions = BASH, ""
    elif shell == "zsh":
        template = ZSH
        descriptions = "\n".join(f"        {_quoted(f'{each.name}:{each.help}')}" for each in COMMANDS.values())
    else:
        template = FISH
        descriptions = "\n".join(
            f"complete -c commentwise -n __fish_use_subcommand -f -a {each.name} -d {_quoted(each.help)}"
            for each in COMMANDS.values()
        )
    filled = template.replace("$NAMES", " ".join(COMMANDS)).replace("$DESCRIPTIONS", descriptions)
    return filled.strip("\n")


def flags(name: str) -> list[str]:
    """The long flags that a command's help describes, in its order."""
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        dispatch([name, "--help"])
    described = re.findall(r"^ +(-\S.*?)(?:  |$)", printed.getvalue(), re.MULTILINE)
    return list(dict.fromkeys(flag for line in described for flag in re.findall(r"--[a-z][a-z0-9-]*", line)))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", r"'\''") + "'"
