"""The model card of a version (Mitchell et al. 2019, "Model Cards for Model Reporting")."""

from typing import Any

SCORES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "macro_recall": "macro recall"}


def model_card(manifest: dict[str, Any], selection: dict[str, Any], baselines: dict[str, Any]) -> str:
    """The model card as Markdown, from a bundle's manifest, selection.json and baselines.json."""
    test = manifest["metrics"]["test"]
    sections = [
        f"# Sentiment of comments: {manifest['family']}",
        f"Classifies a comment as one of: {', '.join(manifest['labels'])}.",
        "## Intended use",
        "Summaries of many comments, sorting and filtering. Not for decisions about individual people: single predictions are often wrong, "
        "especially for irony, quotations and mixed feelings.",
        "## Data",
        _data(manifest["data"]),
        "## Quality on the test part",
        _scores(test),
        _labels(test),
        f"For comparison: macro-F1 {_baselines(baselines)}.",
        f"Why this family: {selection['reason']}.",
        "## Calibration",
        f"Expected calibration error {test['ece']:.3f} as trained and {test['ece_calibrated']:.3f} as served, "
        f"with temperature {manifest['temperature']:.3f} fitted on the validation part.",
        "## Limits",
        f"Comments are truncated to {manifest['max_tokens']} tokens. The scores above are for the data named here. The quality for other sources, "
        "languages and times is unknown: measure it before relying on it.",
        "## Served files",
        _files(manifest),
        "## Lineage",
        _lineage(manifest),
    ]
    return "\n\n".join(sections) + "\n"


def _data(data: dict[str, Any]) -> str:
    rows = ", ".join(f"{part} {count:,}" for part, count in data["rows"].items())
    return f"Source `{data['source']}`; comments: {rows}. All copies of a comment are in the same part."


def _scores(test: dict[str, Any]) -> str:
    rows = [f"| {title} | {_with_interval(test['scores'][name])} |" for name, title in SCORES.items()]
    return "\n".join([f"| {test['comments']:,} comments | value (95% interval) |", "|---|---|", *rows])


def _labels(test: dict[str, Any]) -> str:
    rows = [
        f"| {label} | {facts['precision']:.3f} | {facts['recall']:.3f} | {facts['f1']:.3f} | {facts['comments']:,} |"
        for label, facts in test["labels"].items()
    ]
    return "\n".join(["| label | precision | recall | F1 | comments |", "|---|---|---|---|---|", *rows])


def _files(manifest: dict[str, Any]) -> str:
    rows = []
    for name, facts in manifest["files"].items():
        if "precision" in facts:
            devices = ", ".join(device for device, file in manifest["devices"].items() if file == name) or "reference"
            parity = facts["parity"]
            size = facts["size"] + manifest["files"].get(f"{name}_data", {"size": 0})["size"]
            rows.append(
                f"| {name} | {devices} | {size / 1e6:.1f} MB | {parity['macro_f1']:.3f} | {parity['agreement']:.2%} |"
            )
    return "\n".join(["| file | for | size | test macro-F1 | fp32's labels |", "|---|---|---|---|---|", *rows])


def _lineage(manifest: dict[str, Any]) -> str:
    git, data, environment = manifest["git"], manifest["data"], manifest["environment"]
    changed = f" with uncommitted changes in {', '.join(git['dirty'])}" if git["dirty"] else ""
    packages = ", ".join(f"{name} {number}" for name, number in environment["packages"].items())
    return "\n".join(
        [
            f"- code: commit {git['commit']}{changed}",
            *([f"- source file: md5 {data['source_md5']}"] if data.get("source_md5") else []),
            f"- raw data: md5 {data['raw_md5']}",
            f"- split: md5 {data['prepared_md5']}",
            f"- checkpoint: {manifest['checkpoint']}",
            f"- Python {environment['python']} on {environment['system']}: {packages}",
        ]
    )


def _baselines(baselines: dict[str, Any]) -> str:
    return ", ".join(f"{facts['test']['macro_f1']:.3f} ({name})" for name, facts in baselines.items())


def _with_interval(score: dict[str, float]) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
