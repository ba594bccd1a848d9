"""docs/int8.md, written from int8.json."""

from dataclasses import dataclass

from benchmarks.engines.result import STUDY_SERVED, STUDY_WAYS, Int8Result, Study, StudyVariant, StudyWay
from benchmarks.result import current_command

MIN_GAIN = 1.1
"""Speed over the served variant's from which an alternative would be worth the change."""


@dataclass(frozen=True)
class Choice:
    """A variant and a way to serve it."""

    variant: StudyVariant
    way: StudyWay

    @property
    def facts(self) -> Study:
        """The figures of the variant served in this way."""
        return self.variant[self.way]

    @property
    def speed(self) -> float:
        """Comments per second."""
        return self.facts["comments_per_second"]

    @property
    def name(self) -> str:
        """The name used in sentences."""
        return f"{self.variant['name']} {STUDY_WAYS[self.way]}"


def render(result: Int8Result) -> str:
    """The page: setting, table and conclusions."""
    choices = [Choice(variant, way) for variant in result["variants"] for way in STUDY_WAYS]
    served = next(choice for choice in choices if choice.variant["name"] == STUDY_SERVED and choice.way == "alone")
    lines = [
        "# int8 on the CPU: the alternatives",
        "",
        "Measured by `python -m benchmarks.engines.int8`; the figures are in benchmarks/results/int8.json, from which `python -m benchmarks.report` writes this page.",
        "",
        *_setting(result),
        "",
        f"| runtime | variant | served | MB | comments/s (range of {result['rounds']} rounds) | against the served variant | macro-F1 lost | agreement with fp32 | labels changed by neighbours | largest change of a probability by neighbours | within the limits |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(choice, served) for choice in choices),
        *(
            f"| {runtime} | not installed here: `{install}` | | | | | | | | | |"
            for runtime, install in result["missing"].items()
        ),
        "",
        "The variants:",
        "",
        *(f"- {variant['runtime']} {variant['name']}: {variant['what']}" for variant in result["variants"]),
        "",
        " ".join(
            [_on_dynamic(result, served), _on_onnx_runtime(choices, served), _on_openvino(result, choices, served)]
        ),
    ]
    return "\n".join(lines) + "\n"


def _setting(result: Int8Result) -> list[str]:
    packages, limits, git = result["environment"]["packages"], result["limits"], result["git"]
    versions = ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "onnxruntime", "openvino", "nncf") if name in packages
    )
    changed = f" with later versions of {', '.join(git['dirty'])}" if git["dirty"] else ""
    return [
        f"Command: `{current_command(result['command'])}`",
        "",
        f"Machine: {result['machine']['processor']}, {result['machine']['cores']} cores; {versions}; commit {(git['commit'] or 'unknown')[:12]}{changed}.",
        "",
        f"The winning encoder (checkpoint: {result['checkpoint']}) on {result['test_comments']:,} test comments, with {result['calibration_comments']} training comments for calibration. "
        f"One at a time: one thread per comment, as many comments as cores. In batches: {result['batch_size']} comments of similar length, all cores. "
        f"Neighbours: in batches, every answer is compared with the answer to the comment alone; one at a time, {result['neighbour_comments']} comments are served again in another order. "
        f"Speed: median of {result['rounds']} rounds over all variants, each the median of {result['repeats']} runs over {result['timed_comments']} comments; seed {result['seed']}. "
        f"Limits: at most {100 * limits['max_f1_loss']:g} points of macro-F1 lost, at least {limits['min_agreement']:.1%} agreement with fp32's labels, "
        f"no label changed by neighbours, and no probability changed by more than {limits['max_shift']:g}.",
    ]


def _row(choice: Choice, served: Choice) -> str:
    variant, facts = choice.variant, choice.facts
    rounds = facts["comments_per_second_rounds"]
    verdict = "; ".join(facts["refused_because"]) or "yes"
    return (
        f"| {variant['runtime']} | {variant['name']} | {STUDY_WAYS[choice.way]} | {variant['size'] / 1e6:.1f} "
        f"| {choice.speed:.0f} ({min(rounds):.0f}–{max(rounds):.0f}) | {choice.speed / served.speed:.2f}× "
        f"| {100 * facts['f1_loss']:.2f} | {facts['agreement']:.2%} | {facts['neighbour_label_changes']} "
        f"| {facts['neighbour_shift']:.3f} | {verdict if choice is not served else f'{verdict}; this is served'} |"
    )


def _on_dynamic(result: Int8Result, served: Choice) -> str:
    batches = served.variant["batches"]
    return (
        f"In batches of {result['batch_size']}, neighbours change {batches['neighbour_label_changes']} of {result['test_comments']:,} labels of ONNX Runtime's {served.variant['name']} "
        f"and change a probability by up to {batches['neighbour_shift']:.3f}; one comment at a time they change {served.facts['neighbour_label_changes']}, "
        f"at {served.speed:.0f} comments/s and {served.facts['agreement']:.2%} agreement with fp32's labels."
    )


def _on_onnx_runtime(choices: list[Choice], served: Choice) -> str:
    others = [choice for choice in _accepted(choices, "ONNX Runtime") if choice.variant is not served.variant]
    if not others:
        return "No other int8 variant of ONNX Runtime is within the limits."
    fastest = max(others, key=lambda choice: choice.speed)
    closest = max(others, key=lambda choice: (choice.facts["agreement"], choice.speed))
    verdict = "more" if fastest.speed > MIN_GAIN * served.speed else "no more"
    return (
        f"Of the other int8 variants of ONNX Runtime within the limits, {fastest.name} is fastest, at {fastest.speed / served.speed:.2f}× that speed "
        f"({verdict} than the {MIN_GAIN:g}× that would be worth a change), and {closest.name} is closest to fp32, at {closest.facts['agreement']:.2%} agreement."
    )


def _on_openvino(result: Int8Result, choices: list[Choice], served: Choice) -> str:
    if "OpenVINO" in result["missing"]:
        return f"OpenVINO was not measured, since it is not installed here: `{result['missing']['OpenVINO']}`, and run the command again."
    accepted = _accepted(choices, "OpenVINO")
    if not accepted:
        return "No int8 variant of OpenVINO is within the limits."
    best = max(accepted, key=lambda choice: choice.speed)
    return (
        f"OpenVINO is fastest with {best.name}: {best.speed / served.speed:.2f}× that speed and {best.facts['agreement']:.2%} agreement, "
        "at the price of a second runtime beside ONNX Runtime."
    )


def _accepted(choices: list[Choice], runtime: str) -> list[Choice]:
    """The int8 choices of a runtime that are within all limits."""
    return [
        choice
        for choice in choices
        if choice.variant["runtime"] == runtime
        and choice.variant["precision"] == "int8"
        and not choice.facts["refused_because"]
    ]
