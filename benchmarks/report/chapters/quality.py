"""Quality against speed: int8 next to fp32, small models next to large ones, and scores on real comments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.datasets import NAMES, DatasetResult, read_datasets
from benchmarks.engines.result import (
    STUDY_SERVED,
    STUDY_WAYS,
    EnginesResult,
    Int8Result,
    Model,
    best_batch,
    engine_speed,
    measured_engines,
)
from benchmarks.families import LINEAR
from benchmarks.report.chapters.in_process import engine_facts
from benchmarks.report.drawing import SMALL, Palette, canvas, gridded, legend, titled
from benchmarks.report.notation import megabytes, number, points, times
from benchmarks.report.result_files import Results
from benchmarks.report.section import Answer, Chart, Table, provenance, spoken
from benchmarks.result import Interval

STUDIED = f"ONNX Runtime {STUDY_SERVED}, {STUDY_WAYS['alone']}"
"""The choice that the study compares the others with."""


@dataclass(frozen=True)
class Variant:
    """A variant of the model: its speed, and its loss against fp32."""

    name: str
    precision: str
    speed: float
    f1_loss: float
    agreement: float
    label_changes: int
    size: int

    @property
    def independent(self) -> bool:
        """True if the label of a comment does not depend on its neighbours."""
        return not self.label_changes


def int8_cost(results: Results) -> Answer:
    """int8 next to fp32, from the run of the engines and from the study of int8."""
    engines, study = results.get("engines"), results.get("int8")
    answers, charts, tables, measured_by = [], [], [], []
    if engines:
        rows = _engine_variants(engines)
        answers.append(_on_int8(rows, engines["served"], f"{engines['comments']['test']:,} test comments"))
        charts.append(_cost_chart("int8-cost", rows, engines["served"], "the run of the engines"))
        measured_by.append(engine_facts(engines))
    if study:
        rows = _study_variants(study)
        answers.append(_on_int8(rows, STUDIED, f"{study['test_comments']:,} YouTube comments"))
        charts.append(_cost_chart("int8-study", rows, STUDIED, "the study of int8"))
        tables.append(_cost_table(rows))
        measured_by.append(
            provenance("int8", study, seed=study["seed"], rounds=study["rounds"], repeats=study["repeats"])
        )
    return Answer(
        " ".join(answers),
        charts=charts,
        tables=tables,
        notes=["Hollow marks: labels depend on the neighbours in a batch. Loss and agreement are against fp32 in torch; a negative loss is a gain by chance."],
        measured=measured_by,
        missing=[f"{name}: missing, {how}" for name, how in (study["missing"] if study else {}).items()],
    )  # fmt: skip


def smaller_models(result: EnginesResult) -> Answer:
    """Quality with its interval against speed, for each model."""
    models = result["models"]
    return Answer(
        _on_models(models),
        charts=[
            Chart("models", f"Macro-F1 against comments per second: {spoken((name, _scored(facts)) for name, facts in models.items())}.", lambda palette: _draw_models(models, palette)),
        ],
        tables=[
            Table(
                "Models",
                ["model", "macro-F1 (95% interval)", "calibration error", "comments/s", "size", "parameters"],
                [
                    [name, _interval(facts["macro_f1"]), f"{facts['ece']:.3f}", number(facts["comments_per_second"]), megabytes(facts["size"]), f"{facts['parameters']:,}"]
                    for name, facts in models.items()
                ],
            )
        ],
        notes=["The area of a mark grows with the size of the model; vertical lines are 95% intervals on the test comments."],
        measured=[engine_facts(result)],
    )  # fmt: skip


def real_comments(found: Results) -> Answer:
    """Score of each family on each real data set that was run."""
    results: dict[str, DatasetResult] = {name: found[name] for name in NAMES if name in found}
    titles = {name: dataset["title"] for name, dataset in read_datasets().items()}
    return Answer(
        " ".join(_on_dataset(titles[name], result) for name, result in results.items()),
        charts=[
            Chart("datasets", "Macro-F1 with 95% intervals of each family on each data set; the table holds the figures.", lambda palette: draw_datasets(results, titles, palette)),
        ],
        tables=[
            Table(
                "Scores on the test part",
                ["data", "model", "macro-F1 (95% interval)", "accuracy (95% interval)", "calibration error"],
                [
                    [titles[name], family, _interval(facts["test"]["scores"]["macro_f1"]), _interval(facts["test"]["scores"]["accuracy"]), f"{facts['test']['ece_calibrated']:.3f}"]
                    for name, result in results.items()
                    for family, facts in result["families"].items()
                ],
            )
        ],
        notes=["In colour: the family selected on the validation part. Vertical strokes: the same linear model on words and characters, for comparison."],
        measured=[provenance(name, result) for name, result in results.items()],
    )  # fmt: skip


def draw_datasets(results: Mapping[str, DatasetResult], titles: Mapping[str, str], palette: Palette) -> Figure:
    """One panel per data set, on one scale."""
    figure, panels = canvas(palette, 1.25 * len(results) + 0.2, len(results), sharex=True)
    for panel, (name, result) in zip(panels, results.items(), strict=True):
        gridded(panel, palette, "x")
        families = list(result["families"].items())
        for height, (family, facts) in enumerate(families):
            score = facts["test"]["scores"]["macro_f1"]
            colour = palette.ours if family == result["selection"]["winner"] else palette.peer
            panel.plot([score["low"], score["high"]], [height] * 2, color=colour, linewidth=3, solid_capstyle="round")
            panel.plot(score["value"], height, "o", color=colour, markersize=7)
            end = score["high"]
            if family in result["reference"]:
                reference = result["reference"][family]["test"]["macro_f1"]
                panel.plot(reference, height, "|", color=palette.ink, markersize=12)
                end = max(end, reference)
            panel.annotate(f"{score['value']:.3f}", (end, height), (6, 0), textcoords="offset points", va="center", color=palette.ink, fontsize=SMALL)  # fmt: skip
        panel.set_yticks(range(len(families)), [family for family, _ in families])
        panel.set_ylim(len(families) - 0.5, -0.5)
        panel.margins(x=0.12)
        titled(panel, titles[name], palette)
    panels[-1].set_xlabel("macro-F1 on the test part, 95% interval;  | words and characters")
    return figure


def _engine_variants(result: EnginesResult) -> list[Variant]:
    return [
        Variant(
            name,
            row["precision"],
            engine_speed(row),
            row["quality"]["f1_loss"],
            row["quality"]["agreement"],
            best_batch(row)["neighbour_label_changes"],
            row["size"],
        )
        for name, row in measured_engines(result["engines"]).items()
    ]


def _study_variants(result: Int8Result) -> list[Variant]:
    return [
        Variant(
            f"{row['runtime']} {row['name']}, {title}",
            row["precision"],
            row[way]["comments_per_second"],
            row[way]["f1_loss"],
            row[way]["agreement"],
            row[way]["neighbour_label_changes"],
            row["size"],
        )
        for row in result["variants"]
        for way, title in STUDY_WAYS.items()
    ]


def _on_int8(rows: Sequence[Variant], served: str, comments: str) -> str:
    ours = next((row for row in rows if row.name == served), None)
    if ours is None:
        return f"{served}, the served variant, was not measured."
    full = max((row for row in rows if row.precision == "fp32"), key=lambda row: row.speed)
    change = (
        f"loses {points(ours.f1_loss)} points of macro-F1" if ours.f1_loss > 0 else f"loses no macro-F1 (it gains {points(-ours.f1_loss)} points)"
    )  # fmt: skip
    return (
        f"On {comments}, {ours.name} {change} and agrees with {ours.agreement:.1%} of fp32's labels, "
        f"at {times(ours.speed / full.speed)} the speed of the fastest fp32 variant and {ours.size / full.size:.0%} of its size."
    )


def _cost_chart(name: str, rows: Sequence[Variant], served: str, source: str) -> Chart:
    values = spoken((row.name, f"{points(row.f1_loss)} at {number(row.speed)}") for row in rows)
    return Chart(name, f"Points of macro-F1 lost against comments per second, from {source}: {values}.", lambda palette: _draw_cost(rows, served, palette))  # fmt: skip


def _draw_cost(rows: Sequence[Variant], served: str, palette: Palette) -> Figure:
    figure, (panel,) = canvas(palette, 3.2)
    gridded(panel, palette)
    looks = {"int8": (palette.ours, "o"), "fp32": (palette.muted, "s")}
    drawn = set()
    for row in rows:
        colour, mark = looks.get(row.precision, (palette.other, "^"))
        label = None if row.precision in drawn else row.precision
        drawn.add(row.precision)
        panel.plot(row.speed, 100 * row.f1_loss, mark, color=colour, markerfacecolor=colour if row.independent else "none", markersize=8, linestyle="none", label=label)  # fmt: skip
        if row.name == served:
            panel.plot(row.speed, 100 * row.f1_loss, "o", color=palette.ink, markerfacecolor="none", markersize=15)
            panel.annotate("served", (row.speed, 100 * row.f1_loss), (0, -18), textcoords="offset points", ha="center", color=palette.ink, fontsize=SMALL)  # fmt: skip
    panel.axhline(0.5, color=palette.muted, linestyle="--", linewidth=1)
    panel.annotate("limit of the export", (0.01, 0.5), (0, 3), xycoords=("axes fraction", "data"), textcoords="offset points", color=palette.muted, fontsize=SMALL)  # fmt: skip
    legend(panel, palette)
    panel.set_xlim(0, None)
    panel.margins(y=0.15)
    panel.set_xlabel("comments per second")
    titled(panel, "points of macro-F1 lost against fp32", palette)
    return figure


def _cost_table(rows: Sequence[Variant]) -> Table:
    return Table(
        "Variants of the study",
        ["variant", "comments/s", "macro-F1 lost", "agreement with fp32", "labels changed by neighbours", "size"],
        [
            [row.name, number(row.speed), points(row.f1_loss), f"{row.agreement:.2%}", str(row.label_changes), megabytes(row.size)]
            for row in rows
        ],
    )  # fmt: skip


def _on_models(models: Mapping[str, Model]) -> str:
    best = max(models, key=lambda name: models[name]["macro_f1"]["value"])
    small = min(models, key=lambda name: models[name]["size"])
    if best == small:
        return f"Yes: {small}, the smallest, also scores highest."
    low, value = models[best]["macro_f1"]["low"], models[small]["macro_f1"]["value"]
    gap = models[best]["macro_f1"]["value"] - value
    ratio = models[small]["comments_per_second"] / models[best]["comments_per_second"]
    verdict = "Not for quality" if value < low else "Possibly: the difference is within the interval"
    return (
        f"{verdict}. {small}, the smallest ({megabytes(models[small]['size'])} next to {megabytes(models[best]['size'])}), "
        f"is {times(ratio)} as fast as {best} and scores {points(gap)} points of macro-F1 lower."
    )


def _draw_models(models: Mapping[str, Model], palette: Palette) -> Figure:
    figure, (panel,) = canvas(palette, 3.4)
    gridded(panel, palette)
    by_speed = sorted(models.items(), key=lambda item: item[1]["comments_per_second"])
    for place, (name, facts) in enumerate(by_speed):
        _draw_model(panel, name, facts, palette, above=place % 2 == 0)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
    panel.minorticks_off()
    panel.margins(x=0.2, y=0.22)
    panel.set_xlabel("comments per second")
    titled(panel, "macro-F1 against speed; area shows size", palette)
    return figure


def _draw_model(panel: Axes, name: str, facts: Model, palette: Palette, above: bool) -> None:
    """A mark with its interval, and its name above or below."""
    colour = palette.peer if name in LINEAR else palette.ours
    score, speed = facts["macro_f1"], facts["comments_per_second"]
    panel.plot([speed, speed], [score["low"], score["high"]], color=colour, linewidth=1.5)
    panel.scatter(speed, score["value"], s=18 + 5 * facts["size"] / 1e6, color=colour, alpha=0.75, linewidths=0)
    end, shift, side = (score["high"], 4, "bottom") if above else (score["low"], -4, "top")
    panel.annotate(f"{name}\n{megabytes(facts['size'])}", (speed, end), (0, shift), textcoords="offset points", ha="center", va=side, color=palette.ink, fontsize=SMALL)  # fmt: skip


def _on_dataset(title: str, result: DatasetResult) -> str:
    winner = result["selection"]["winner"]
    score = result["families"][winner]["test"]["scores"]["macro_f1"]
    return f"{title}: {winner} was selected and reaches {score['value']:.3f} macro-F1 ({score['low']:.3f} to {score['high']:.3f})."


def _scored(facts: Model) -> str:
    return f"{facts['macro_f1']['value']:.3f} at {number(facts['comments_per_second'])}"


def _interval(score: Interval) -> str:
    return f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})"
