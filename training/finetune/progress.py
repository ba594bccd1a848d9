"""The progress bar of training."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def console(name: str, comments: int, epochs: int, shown: bool) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show a progress bar, and yield a function to call with each row of the history.

    `comments` is the total over all `epochs`. With `shown` false, nothing is printed.
    """
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[metrics]}"),
        TimeRemainingColumn(),
        disable=not shown,
    )
    with bar:
        task = bar.add_task(name, total=comments, metrics="")

        def show(row: dict[str, Any]) -> None:
            if "loss" in row:
                bar.update(task, completed=row["comments"], metrics=_metrics(row))
            elif shown:
                print(
                    f"epoch {row['epoch']} of {epochs}: validation macro-F1 {row['validation_macro_f1']:.4f}",
                    flush=True,
                )

        yield show


def _metrics(row: dict[str, Any]) -> str:
    loss = row["loss"] if math.isfinite(row["loss"]) else math.nan
    return (
        f"loss {loss:.3f}, {row['comments_per_second']:.0f} comments/s, {row['tokens_per_second']:,} tokens/s, "
        f"MFU {row['mfu']:.0%}, {row['peak_memory_gb']:.1f} GB,"
    )
