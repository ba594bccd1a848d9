"""What a person sees while a model trains."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def console(name: str, comments: int, epochs: int, shown: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show a bar over the `comments` of all `epochs`; call what this yields with each row of the history."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[now]}"),
        TimeRemainingColumn(),
        disable=not shown,
    )
    with bar:
        task = bar.add_task(name, total=comments, now="")

        def show(row: dict[str, Any]) -> None:
            if "loss" in row:
                bar.update(task, completed=row["comments"], now=_now(row))
            elif shown:
                print(
                    f"epoch {row['epoch']} of {epochs}: validation macro-F1 {row['validation_macro_f1']:.4f}",
                    flush=True,
                )

        yield show


def _now(row: dict[str, Any]) -> str:
    loss = row["loss"] if math.isfinite(row["loss"]) else math.nan
    return (
        f"loss {loss:.3f}, {row['comments_per_second']:.0f} comments/s, {row['tokens_per_second']:,} tokens/s, "
        f"MFU {row['mfu']:.0%}, {row['peak_memory_gb']:.1f} GB,"
    )
