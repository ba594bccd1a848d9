"""The command line tool: its help, what a command imports, missing extras, wrong names, Ctrl-C."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commentwise import __version__, cli
from commentwise.commands import COMMANDS, GROUPS
from tests.package.extras import ROOT, run_with_extras

EXTRAS = sorted({command.extra for command in COMMANDS.values()})
RUN = """
import contextlib, io
from commentwise.cli import main
ended = {}
for name, *arguments in json.loads(sys.argv.pop(1)):
    sys.argv = ["commentwise", name, *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as exited:
            ended[name] = (exited.code, out.getvalue(), err.getvalue())
print(json.dumps(ended))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "commentwise", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_command_by_group() -> None:
    printed = run("--help")
    assert (printed.returncode, printed.stderr) == (0, "")
    lines = printed.stdout.splitlines()
    for group, commands in GROUPS.items():
        start = lines.index(f"{group}:") + 1
        listed = [line.split(maxsplit=1) for line in lines[start : start + len(commands)]]
        assert listed == [[command.name, command.help] for command in commands]
    assert max(map(len, lines)) <= 100
    assert run().stdout == run("-h").stdout == printed.stdout


def test_version() -> None:
    assert run("--version").stdout == f"commentwise {__version__}\n"


def test_help_imports_nothing_but_the_standard_library() -> None:
    code = """
import sys
before = set(sys.modules)
from commentwise.cli import dispatch
dispatch(["--help"])
new = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
print(new, [name for name in sys.modules if name.startswith("commentwise.")])
"""
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = ["commentwise.commands", "commentwise.errors", "commentwise.cli"]
    assert printed.stdout.splitlines()[-1] == f"{ {'commentwise'} } {modules}"


@pytest.mark.parametrize("extra", EXTRAS)
def test_every_command_has_help_with_its_extra_alone(extra: str, tmp_path: Path) -> None:
    names = [command.name for command in COMMANDS.values() if command.extra == extra]
    done = run_with_extras(extra, RUN, tmp_path, json.dumps([[name, "--help"] for name in names]))
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert list(ended) == names
    for name, (code, out, err) in ended.items():
        assert (code, err) == (0, ""), name
        assert out.startswith(f"usage: commentwise {name} "), out
    assert [path for path in tmp_path.iterdir() if not path.name.startswith(".")] == []  # libraries keep caches in HOME


def test_a_missing_extra_is_named_in_one_line(tmp_path: Path) -> None:
    extras = {command.name: command.extra for command in COMMANDS.values() if command.extra}
    done = run_with_extras("", RUN, tmp_path, json.dumps([[name] for name in extras]))
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout)
    assert list(ended) == list(extras)
    for name, (code, out, err) in ended.items():
        assert (code, out, err.count("\n")) == (1, "", 1), err
        start = (
            f"error: `commentwise {name}` needs the extra '{extras[name]}': pip install 'commentwise[{extras[name]}]' ("
        )
        assert err.startswith(start), err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["publsh"], "error: unknown command 'publsh': did you mean `commentwise publish`?\n"),
        (["xyzzy"], "error: unknown command 'xyzzy': `commentwise --help` lists the commands\n"),
        (["--quiet"], "error: unknown option '--quiet': `commentwise --help` lists the commands\n"),
    ],
)
def test_an_unknown_command_names_the_nearest(arguments: list[str], line: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", line)


def test_a_command_without_arguments_refuses_some() -> None:
    done = run("publish", "now")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("commentwise publish: error: unrecognized arguments: now\n")


def test_a_command_gets_its_arguments_and_reports_errors_in_one_line(tmp_path: Path) -> None:
    done = run("score", "in.csv", "-o", "out.csv", "--model", str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_bug_in_an_import_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMMANDS, "score", COMMANDS["score"]._replace(module="nowhere"))
    with pytest.raises(ModuleNotFoundError):
        cli.dispatch(["score"])


def test_ctrl_c_is_one_line_and_status_130() -> None:
    code = "import signal; from commentwise import cli; cli.dispatch = lambda _: print(flush=True) or signal.pause(); cli.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (130, "interrupted: run the same command again to continue\n")
