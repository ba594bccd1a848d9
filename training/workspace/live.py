"""The progress of the pipeline on a terminal: a table of its stages, with the state, seconds and last line of each."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_STARTED = re.compile(r"Running stage '(.+)':$")
_SKIPPED = re.compile(r"(?:Stage )?'(.+)' (didn't change|is cached)")
_ENDED = re.compile(r"(?:Generating|Updating) lock file")
LINE = 70
"""Columns for the last line of a stage, and its progress bar."""
_STYLES = {"running": "bold", "done": "green", "failed": "bold red"}


@dataclass
class Stage:
    """A stage as far as DVC has told."""

    state: str
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    lines: list[str] = field(default_factory=list)
    progress: str = ""
    """Its progress bar, if it shows one."""

    def end(self, state: str) -> None:
        """Set the final state, unless it has one."""
        if self.ended is None:
            self.state, self.ended = state, time.monotonic()


class Stages:
    """The stages of a run of DVC, from the lines that it prints."""

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}
        self.current: Stage | None = None
        """The stage to which lines belong."""

    def read(self, line: str) -> None:
        """Take in a line of DVC or of a stage; a progress bar ends with `\\r`."""
        if started := _STARTED.match(line):
            self.end("done")
            self.current = self.stages[started[1]] = Stage("running")
        elif skipped := _SKIPPED.match(line):
            self.end("done")
            self.current = None
            self.stages[skipped[1]] = Stage("unchanged" if skipped[2] == "didn't change" else "from the cache")
        elif _ENDED.match(line):
            self.end("done")
        elif self.current and self.current.ended is None and line.strip() and not line.startswith("> "):
            self.current.progress = line.strip()
            if not line.endswith("\r"):
                self.current.lines.append(line)

    def end(self, state: str) -> None:
        """Set the state of the stage that is running, if one is."""
        if self.current:
            self.current.end(state)

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
        for heading in ("stage", "state", "seconds"):
            table.add_column(heading, no_wrap=True, justify="right" if heading == "seconds" else "left")
        table.add_column("last line", no_wrap=True, overflow="ellipsis", ratio=1)
        for name, stage in self.stages.items():
            ran = stage.state in _STYLES
            seconds = f"{(stage.ended or time.monotonic()) - stage.started:.0f}" if ran else ""
            last = stage.progress if stage.ended is None else "".join(stage.lines[-1:])
            row = Text(stage.state, _STYLES.get(stage.state, "dim")), seconds, Text(last.removeprefix(f"{name}: "))
            table.add_row(name, *row)
        return table


@contextmanager
def stage_table() -> Iterator[Callable[[str], None] | None]:
    """Show a live table on a terminal; yield the function that takes DVC's lines. None: the lines go where stdout goes.

    Of a stage that fails, all lines are printed.
    """
    console = Console()
    if not console.is_terminal:
        yield None
        return
    stages = Stages()
    try:
        with Live(stages, console=console, refresh_per_second=4):
            yield stages.read
            stages.end("done")
    except BaseException:
        stages.end("failed")
        for line in stages.current.lines if stages.current else ():
            console.print(Text(line))
        raise
