"""docs/int8.md from the figures of benchmarks.engines.int8."""

from dataclasses import dataclass
from typing import Any

from benchmarks.engines.int8_variants import SERVED

WAYS = {"alone": "one at a time", "batches": "in batches"}
WORTH = 1.1
"""How much faster than what is served an alternative must be to be worth the change."""


@dataclass(frozen=True)
class Choice:
    """A variant and a way to serve it."""

    variant: dict[str, Any]
    way: str

    @property
    def facts(self) -> dict[str, Any]:
        """What was measured of it."""
        facts: dict[str, Any] = self.variant[self.way]
        return facts

    @property
    def speed(self) -> float:
        """Comments per second."""
        return float(self.facts["comments_per_second"])

    @property
    def name(self) -> str:
        """For a sentence."""
        return f"{self.variant['name']} {WAYS[self.way]}"


def render(result: dict[str, Any]) -> str:
    """The page: setting, table, reading."""
    choices = [Choice(variant, way) for variant in result["variants"] for way in WAYS]
    served = next(choice for choice in choices if choice.variant["name"] == SERVED and choice.way == "alone")
    lines = [
        "# int8 on the CPU: the alternatives",
        "",
        "Written by `python -m benchmarks.engines.int8`; the figures behind it are in benchmarks/results/int8.json.",
        "",
        *_setting(result),
        "",
        f"| runtime | variant | served | MB | comments/s (range of {result['rounds']} rounds) | against what is served | macro-F1 lost | fp32's labels | labels neighbours change | they move a probability by up to | holds the limits |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(_row(choice, served) for choice in choices),
        *(
            f"| {runtime} | not installed here: `{install}` | | | | | | | | | |"
            for runtime, install in result["missing"].items()
        ),
        "",
        "What the variants are:",
        "",
        *(f"- {variant['runtime']} {variant['name']}: {variant['what']}" for variant in result["variants"]),
        "",
        " ".join(
            [_on_dynamic(result, served), _on_onnx_runtime(choices, served), _on_openvino(result, choices, served)]
        ),
    ]
    return "\n".join(lines) + "\n"


def _setting(result: dict[str, Any]) -> list[str]:
    packages, limits, git = result["environment"]["packages"], result["limits"], result["git"]
    versions = ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "onnxruntime", "openvino", "nncf") if name in packages
    )
    changed = f" with later versions of {', '.join(git['dirty'])}" if git["dirty"] else ""
    return [
        f"Command: `{result['command']}`",
        "",
        f"Machine: {result['machine']['processor']}, {result['machine']['cores']} cores; {versions}; commit {(git['commit'] or 'unknown')[:12]}{changed}.",
        "",
        f"The encoder that won (checkpoint: {result['checkpoint']}) on {result['test_comments']:,} test comments, {result['calibration_comments']} training comments for calibration. "
        f"One at a time: one thread per comment, as many comments as cores. In batches: {result['batch_size']} comments of like length, all cores. "
        f"Neighbours: in batches, every answer is held against that to the comment alone; one at a time, {result['neighbour_comments']} comments are served again in another order. "
        f"Speed: median of {result['rounds']} rounds over all variants, each the median of {result['repeats']} runs over {result['timed_comments']} comments; seed {result['seed']}. "
        f"Limits: at most {100 * limits['max_f1_loss']:g} points of macro-F1 lost, at least {limits['min_agreement']:.1%} of fp32's labels, "
        f"and neighbours change no label and move no probability by more than {limits['max_shift']:g}.",
    ]


def _row(choice: Choice, served: Choice) -> str:
    variant, facts = choice.variant, choice.facts
    rounds = facts["comments_per_second_rounds"]
    holds = "; ".join(facts["refused_because"]) or "yes"
    return (
        f"| {variant['runtime']} | {variant['name']} | {WAYS[choice.way]} | {variant['size'] / 1e6:.1f} "
        f"| {choice.speed:.0f} ({min(rounds):.0f}–{max(rounds):.0f}) | {choice.speed / served.speed:.2f}× "
        f"| {100 * facts['f1_loss']:.2f} | {facts['agreement']:.2%} | {facts['neighbour_label_changes']} "
        f"| {facts['neighbour_shift']:.3f} | {holds if choice is not served else f'{holds}; this is served'} |"
    )


def _on_dynamic(result: dict[str, Any], served: Choice) -> str:
    batches = served.variant["batches"]
    return (
        f"In batches of {result['batch_size']}, ONNX Runtime's {served.variant['name']} lets neighbours change {batches['neighbour_label_changes']} of {result['test_comments']:,} labels "
        f"and move a probability by up to {batches['neighbour_shift']:.3f}; one comment at a time they change {served.facts['neighbour_label_changes']}, "
        f"at {served.speed:.0f} comments/s with {served.facts['agreement']:.2%} of fp32's labels."
    )


def _on_onnx_runtime(choices: list[Choice], served: Choice) -> str:
    others = [choice for choice in _holding(choices, "ONNX Runtime") if choice.variant is not served.variant]
    if not others:
        return "Nothing else that ONNX Runtime runs in int8 holds the limits."
    fastest = max(others, key=lambda choice: choice.speed)
    closest = max(others, key=lambda choice: (choice.facts["agreement"], choice.speed))
    verdict = "more" if fastest.speed > WORTH * served.speed else "no more"
    return (
        f"Of what else ONNX Runtime runs in int8 within the limits, {fastest.name} is fastest, with {fastest.speed / served.speed:.2f}× of that speed "
        f"({verdict} than the {WORTH:g}× that would be worth a change), and {closest.name} is closest to fp32, with {closest.facts['agreement']:.2%} of its labels."
    )


def _on_openvino(result: dict[str, Any], choices: list[Choice], served: Choice) -> str:
    if "OpenVINO" in result["missing"]:
        return f"OpenVINO was not measured, since it is not installed here: `{result['missing']['OpenVINO']}`, and run the command again."
    holding = _holding(choices, "OpenVINO")
    if not holding:
        return "No int8 of OpenVINO holds the limits."
    best = max(holding, key=lambda choice: choice.speed)
    return (
        f"OpenVINO serves best with {best.name}: {best.speed / served.speed:.2f}× of that speed and {best.facts['agreement']:.2%} of fp32's labels, "
        "for a second runtime beside ONNX Runtime."
    )


def _holding(choices: list[Choice], runtime: str) -> list[Choice]:
    """The int8 choices of a runtime that hold all limits."""
    return [
        choice
        for choice in choices
        if choice.variant["runtime"] == runtime
        and choice.variant["precision"] == "int8"
        and not choice.facts["refused_because"]
    ]
