"""docs/results.md, written from the result files of the data sets."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.datasets import Dataset, DatasetResult, Export, ExportVariant, Family, Resources
from benchmarks.result import Git, Interval, current_command

PAGE = Path("docs/results.md")
PICTURE = Path("docs/images/quality.png")


def render(results: Mapping[str, DatasetResult], datasets: Mapping[str, Dataset]) -> str:
    """The page: a picture, and a section for each data set that has a result."""
    lines = [
        "# Results on real comments",
        "",
        "Measured by `python -m benchmarks.results`; the figures are in benchmarks/results/, from which `python -m benchmarks.report` writes this page.",
        "",
        "![Macro-F1 of each family on each data set](images/quality.png)",
    ]
    for name, result in results.items():
        lines += ["", f"## {datasets[name]['title']}", "", *_section(result, datasets[name])]
    return "\n".join(lines) + "\n"


def _section(result: DatasetResult, dataset: Dataset) -> list[str]:
    data, machine, packages = result["data"], result["machine"], result["environment"]["packages"]
    parts = ", ".join(f"{part} {facts['comments']:,}" for part, facts in data["parts"].items())
    set_aside = ", ".join(f"{count:,} ({reason})" for reason, count in data["rejects"].items())
    return [
        f"Data: {dataset['source']}. {data['comments']:,} labelled comments: {parts}"
        + (f"; set aside {set_aside}" if set_aside else "")
        + f"; {data['copies']['exact'] + data['copies']['near']:,} copies, each in the same part as its original.",
        "",
        f"Command: `{current_command(result['command'])}`",
        "",
        f"Machine: {machine['processor']}, {machine['cores']} cores; torch {packages['torch']}, transformers {packages['transformers']}, "
        f"scikit-learn {packages['scikit-learn']}, onnxruntime {packages['onnxruntime']}; {_code(result['git'])}.",
        "",
        "| model | validation macro-F1 | validation macro recall | test macro-F1 | test macro recall | test accuracy | ECE, calibrated | training time |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(family, facts) for family, facts in result["families"].items()),
        *(
            f"| {family}, words and characters | {facts['validation']['macro_f1']:.3f} | {facts['validation']['macro_recall']:.3f} "
            f"| {facts['test']['macro_f1']:.3f} | {facts['test']['macro_recall']:.3f} | {facts['test']['accuracy']:.3f} | | |"
            for family, facts in result["reference"].items()
        ),
        "",
        *(
            f"On the test part bert leads {family} by {_points(lead['difference'])} points of macro-F1 (95% interval {_points(lead['low'])} to {_points(lead['high'])})."
            for family, lead in result["bert_lead_on_test"].items()
        ),
        "",
        f"Selection, on the validation part: {result['selection']['reason']}.",
        "",
        *_export(result["export"]),
    ]


def _row(family: str, facts: Family) -> str:
    validation, test = facts["validation"]["scores"], facts["test"]["scores"]
    return (
        f"| {family} | {_interval(validation['macro_f1'])} | {_interval(validation['macro_recall'])} | {_interval(test['macro_f1'])} "
        f"| {_interval(test['macro_recall'])} | {_interval(test['accuracy'])} | {facts['test']['ece_calibrated']:.3f} | {_cost(facts['resources'])} |"
    )


def _cost(resources: Resources) -> str:
    return f"{resources['seconds']:,.0f} s on {resources['device']}" if resources else "not recorded"


def _code(git: Git) -> str:
    changed = f" with later versions of {', '.join(git['dirty'])}" if git["dirty"] else ""
    return f"commit {(git['commit'] or 'unknown')[:12]}{changed}"


def _export(export: Export) -> list[str]:
    torch = export["torch_fp32_comments_per_second"]
    lines = [
        f"Variants of {export['family']} on the {export['test_comments']:,} test comments: one comment per call, one thread, "
        f"{export['machine']['cores']} at a time (fp16: batches of 32, as a GPU serves it)"
        + (f". torch fp32 in the same run, batches of 32, all cores: {torch:.0f} comments/s" if torch else "")
        + ".",
        "",
        "| graph | MB | comments/s | against torch | macro-F1 lost | agreement with fp32 | refused because | in batches of 32 | serves |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for variant in export["variants"]:
        serves = ", ".join(device for device, file in export["devices"].items() if file == variant["file"])
        lines.append(
            f"| {variant['file']} | {variant['size'] / 1e6:.1f} | {_speed(variant)} | {_ratio(variant, torch)} "
            f"| {_points(variant['f1_loss'])} | {variant['agreement']:.2%} | {'; '.join(variant['refused_because'])} | {_batch_effect(variant)} | {serves} |"
        )
    return lines


def _batch_effect(variant: ExportVariant) -> str:
    effect = variant["in_batches"]
    if not effect:
        return ""
    return (
        f"{effect['label_changes']} of {effect['comments']} labels change, probabilities by up to {effect['shift']:.3f}"
    )


def _speed(variant: ExportVariant) -> str:
    return f"{variant['comments_per_second']:.0f}" if variant["comments_per_second"] else ""


def _ratio(variant: ExportVariant, torch: float | None) -> str:
    speed = variant["comments_per_second"]
    return f"{speed / torch:.2f}×" if torch and speed else ""


def _interval(score: Interval) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f}–{score['high']:.3f})"


def _points(share: float) -> str:
    return f"{100 * share:.2f}"
