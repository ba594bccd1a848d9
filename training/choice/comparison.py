"""Print how the candidates compare, who won, and why."""

from rich.console import Console
from rich.table import Table

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import read_json
from commentwise.training.project import CANDIDATES, EVALUATION, EXPORT_REPORT, REFERENCE, SELECTION


def main() -> None:
    """Print the report of the pipeline's last run in the current folder."""
    if not SELECTION.is_file():
        raise CommentwiseError(f"{SELECTION} is missing: run `dvc repro`, or get it back with `dvc pull`")
    selection, reference = read_json(SELECTION), read_json(REFERENCE)
    table = Table(title="The same split for all; 95% intervals")
    for heading in ("family", "validation macro-F1", "test macro-F1", "test accuracy", "ECE", "parameters", "seconds"):
        table.add_column(heading, justify="left" if heading == "family" else "right")
    for ranked in selection["ranking"]:
        family = ranked["family"]
        metrics = read_json(EVALUATION / family / "metrics.json")
        table.add_row(
            f"[bold]{family}[/] (winner)" if family == selection["winner"] else family,
            _score(metrics["validation"]["scores"]["macro_f1"]),
            _score(metrics["test"]["scores"]["macro_f1"]),
            _score(metrics["test"]["scores"]["accuracy"]),
            f"{metrics['test']['ece']:.3f}, calibrated {metrics['test']['ece_calibrated']:.3f}",
            f"{ranked['parameters']:,}",
            f"{read_json(CANDIDATES / family / 'resources.json')['seconds']:.0f}",
        )
    console = Console(width=None if Console().is_terminal else 150)
    console.print(table)
    for family, facts in reference.items():
        console.print(
            f"{family} with words and characters instead of word pieces: test macro-F1 {facts['test']['macro_f1']:.3f}"
        )
    console.print(f"\n{selection['reason']}.", highlight=False)
    _print_export(console)


def _print_export(console: Console) -> None:
    report = read_json(EXPORT_REPORT)
    for variant in report["variants"]:
        served = ", ".join(device for device, file in report["devices"].items() if file == variant["file"])
        speed = f"{variant['comments_per_second']:.0f} comments/s, " if variant["comments_per_second"] else ""
        console.print(
            f"{variant['file']}: {variant['size'] / 1e6:.1f} MB, {speed}{variant['agreement']:.2%} of fp32's labels{f' -> serves {served}' if served else ''}",
            highlight=False,
        )


def _score(score: dict[str, float]) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f}-{score['high']:.3f})"


if __name__ == "__main__":
    run_command(main)
