"""The sections about data, choice, serving and lineage."""

import json
from typing import Any

from commentwise.comments.table import PARTS
from commentwise.training.pages import Html, marked, markup, score_text, section, table
from commentwise.training.params import dumped, read_params
from commentwise.training.report.results import Results
from commentwise.training.workspace.template import FOLDER

LANGUAGES = 8
"""Languages in the table of the data."""


def data(results: Results) -> Html:
    """The comments: source, parts, labels, lengths, copies, languages, and rows that were set aside."""
    report, copies = results.data, results.data["copies"]
    parts = report["parts"]
    labels = [
        [label, *(_share(parts[part]["labels"][label], parts[part]["comments"]) for part in PARTS)]
        for label in results.settings.labels
    ]
    total = ["all", *(f"{parts[part]['comments']:,}" for part in PARTS)]
    characters = report["characters"]
    return section(
        "Data",
        f"{report['comments']:,} labelled comments from {results.manifest['data']['source']}"
        + (f", and {report['unlabelled']:,} without a label" if report["unlabelled"] else "")
        + f". Length in characters: median {characters['median']:,.0f}, 95th percentile {characters['p95']:,.0f}, longest "
        f"{characters['max']:,.0f}. Copies: {copies['exact']:,} exact, {copies['near']:,} near; all copies of a comment are in the same part. "
        f"Groups of copies with labels that disagree: {copies['groups_whose_labels_disagree']:,}.",
        narrow(table(["label", *PARTS], [*labels, total], numbers={1, 2, 3})),
        _languages(report["languages"]),
        *_rejects(results.rejects),
    )


def _languages(languages: dict[str, Any]) -> Html:
    columns = {"comments": "labelled"}
    if any(facts["unlabelled"] for facts in languages.values()):
        columns["unlabelled"] = "unlabelled"
    shown = {name: [facts] for name, facts in list(languages.items())[:LANGUAGES]}
    if rest := list(languages.values())[LANGUAGES:]:
        shown[f"{len(rest)} others"] = rest
    rows = [
        [name, *(f"{sum(facts[column] for facts in group):,}" for column in columns)] for name, group in shown.items()
    ]
    return narrow(table(["language (und: not told by the text)", *columns.values()], rows, numbers={1, 2}))


def _rejects(rejects: dict[str, dict[str, int]]) -> list[object]:
    rows = [[stage, reason, f"{count:,}"] for stage, reasons in rejects.items() for reason, count in reasons.items()]
    return (
        [narrow(table(["set aside by", "because", "rows"], rows, numbers={2}))] if rows else ["No row was set aside."]
    )


def choice(results: Results) -> Html:
    """The candidates and baselines: what decided, and how they do on the test part."""
    ordinal = {
        name: title
        for name, title in (("mae", "MAE, steps"), ("quadratic_kappa", "quadratic kappa"))
        if name in results.test["scores"]
    }
    measured = ("macro_f1", "accuracy", *ordinal)
    decided: list[list[object]] = []
    tested: list[list[object]] = []
    for ranked in results.selection["ranking"]:
        family, metrics = ranked["family"], results.metrics[ranked["family"]]
        name = marked(f"{family}, the winner", "none") if family == results.winner else family
        behind = results.selection["lead_over"].get(family)
        decided.append(
            [
                name,
                score_text(**metrics["validation"]["scores"]["macro_f1"]),
                score_text(behind["difference"], behind["low"], behind["high"]) if behind else "leads",
                f"{ranked['operations']:,}",
            ]
        )
        scores = (score_text(**metrics["test"]["scores"][score]) for score in measured)
        tested.append([name, *scores, f"{metrics['test']['ece_calibrated']:.3f}"])
    for name, facts in results.baselines.items():
        decided.append([name, f"{facts['validation']['macro_f1']:.3f}", "baseline", "–"])
        tested.append([name, *(_score(facts["test"].get(score)) for score in measured), "–"])
    return section(
        "Choice",
        f"{results.selection['reason']}.",
        table(["", "validation macro-F1", "behind the leader", "operations per comment"], decided, numbers={1, 2, 3}),
        table(
            ["", "test macro-F1", "accuracy", *ordinal.values(), "calibration error"],
            tested,
            numbers=range(1, len(measured) + 2),
        ),
        "All were trained on the same split. The validation part decides, the test part only reports. In brackets: 95% intervals. "
        "Baselines are not served: the most frequent label, and models on words and characters.",
    )


def serving(results: Results) -> Html:
    """The graphs of the bundle: which of them is served where, how fast it is, and how it differs from the trained model."""
    export = results.export
    machine = export["machine"]
    rows = [_variant(variant, export["devices"]) for variant in export["variants"]]
    trained = export["torch_fp32_comments_per_second"]
    heads = ["file", "serves", "comments per second", "MB", "test macro-F1", "labels as fp32"]
    if any(variant["refused_because"] for variant in export["variants"]):
        heads.append("not served because")
    notes = [f"{file} could not be made: {reason}." for file, reason in export["dropped"].items()]
    return section(
        "What is served, and how fast",
        f"Comments per second on {machine['cores']} {'core' if machine['cores'] == 1 else 'cores'} ({machine['processor']}), when the bundle was made."
        + (f" In the library that trained it, in batches: {trained:,.0f}." if trained else ""),
        table(heads, [row[: len(heads)] for row in rows], numbers={2, 3, 4, 5}),
        *notes,
    )


def _variant(variant: dict[str, Any], devices: dict[str, str]) -> list[object]:
    served = ", ".join(device for device, file in devices.items() if file == variant["file"])
    on_request = "on request" if variant.get("cascade") and not variant["refused_because"] else ""
    return [
        variant["file"],
        marked(served, "none") if served else on_request,
        f"{variant['comments_per_second']:,.0f}" if variant["comments_per_second"] else "–",
        f"{variant['size'] / 1e6:,.1f}",
        f"{variant['macro_f1']:.3f}",
        f"{variant['agreement']:.2%}",
        "; ".join(variant["refused_because"]),
    ]


def lineage(results: Results) -> Html:
    """Data, code, settings and environment that the bundle was made from."""
    manifest = results.manifest
    git, environment, facts = manifest["git"], manifest["environment"], manifest["data"]
    rows = [
        ["source", facts["source"]],
        ["raw comments", f"md5 {facts['raw_md5']}"],
        ["split", f"md5 {facts['prepared_md5']}"],
        [
            "code",
            (git["commit"] or "not in a git repository")
            + (f", changed: {', '.join(git['dirty'])}" if git["dirty"] else ""),
        ],
        ["pre-trained encoder", manifest["checkpoint"]],
        ["environment", f"Python {environment['python']} on {environment['system']}"],
        ["packages", ", ".join(f"{name} {number}" for name, number in environment["packages"].items())],
    ]
    changed = changed_settings(manifest["params"], read_params(FOLDER / "params.yaml"))
    settings: object = (
        narrow(
            table(["setting", "value", "default"], [[name, *map(_setting, values)] for name, values in changed.items()])
        )
        if changed
        else "All settings have their default values."
    )
    return section(
        "Where it comes from",
        narrow(
            table(
                ["", ""],
                [[name, Html(f'<span style="overflow-wrap:anywhere">{markup(value)}</span>')] for name, value in rows],
            )
        ),
        settings,
        Html(
            f'<details><summary>All settings</summary><pre style="overflow-x:auto;font-size:.82rem">{markup(dumped(manifest["params"]))}</pre></details>'
        ),
    )


def changed_settings(
    own: dict[str, Any], defaults: dict[str, Any], section_name: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Value and default of every setting that differs from its default, by dotted name.

    >>> changed_settings({"seed": 1, "data": {"path": "a", "hub": None}}, {"seed": 1, "data": {"path": "b", "hub": None}})
    {'data.path': ('a', 'b')}
    """
    changed: dict[str, tuple[Any, Any]] = {}
    for key, value in own.items():
        name, default = f"{section_name}{key}", defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict) and default:
            changed |= changed_settings(value, default, f"{name}.")
        elif value != default:
            changed[name] = (value, default)
    return changed


def narrow(wide: Html) -> Html:
    """A table of few columns, which need not be as wide as others on a phone."""
    return Html(wide.replace("<table>", '<table style="min-width:0">', 1))


def _share(count: int, total: int) -> str:
    return f"{count:,} ({count / max(1, total):.0%})"


def _score(value: float | None) -> str:
    """A score without interval; a dash where it was not measured."""
    return "–" if value is None else f"{value:.3f}"


def _setting(value: Any) -> str:
    """The value of a setting as params.yaml has it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
