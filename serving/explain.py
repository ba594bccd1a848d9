"""Explain a bundle's answer: how much each word of a text speaks for its label, or against it.

  commentwise explain "this is not bad at all"
  commentwise explain "worst update ever" --model models:/commentwise@champion --label positive --json

Words in blue speak for the label, words in orange against it; the stronger, the darker. A linear bundle is explained
exactly if the package onnx is installed (extra train): the weights and the bias add up to the label's logit. Any other
is explained by leaving out one word at a time: the weight is the difference that this makes to the label's log-odds.
"""

import argparse
import json
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from commentwise.errors import run_command
from commentwise.models.explain import Explanation
from commentwise.models.names import load

FOR, AGAINST = (0, 114, 178), (213, 94, 0)
"""Colours that people with colour-blindness tell apart (Okabe and Ito 2008)."""
LISTED = 10
"""Maximum number of words that are listed with their weights."""


def main() -> None:
    """Explain the texts on the command line."""
    parser = argparse.ArgumentParser(
        prog="commentwise explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("texts", nargs="+", metavar="TEXT", help="a comment to explain")
    parser.add_argument(
        "--model",
        default="artifacts/bundle",
        help="folder of the bundle, models:/NAME@ALIAS or models:/NAME/VERSION (default: %(default)s)",
    )
    parser.add_argument("--label", help="the label to explain (default: the predicted one)")
    parser.add_argument("--json", action="store_true", help="print one JSON object per text")
    arguments = parser.parse_args()
    classifier = load(arguments.model)
    console = Console(highlight=False)
    for text in arguments.texts:
        explanation = classifier.explain(text, arguments.label)
        if arguments.json:
            print(json.dumps(asdict(explanation), ensure_ascii=False))
        else:
            console.print(rendered(text, explanation), soft_wrap=True)


def rendered(text: str, explanation: Explanation) -> Text:
    """Return the label, the text with coloured words, and the weights of the strongest words."""
    shown = Text(f"{explanation.label} {explanation.probability:.2f} ({explanation.method})\n")
    strongest = sorted(explanation.words, key=lambda word: abs(word.weight), reverse=True)
    scale = abs(strongest[0].weight) if strongest else 0.0
    end = 0
    for word in explanation.words:
        shown.append(text[end : word.start])
        shown.append(word.text, _style(word.weight / scale if scale else 0.0))
        end = word.end
    shown.append(text[end:])
    for word in strongest[:LISTED]:
        shown.append(f"\n  {word.weight:+6.2f}  {word.text}")
    return shown


def _style(share: float) -> str:
    """Black on the colour of the weight's sign, mixed with white."""
    colour = FOR if share > 0 else AGAINST
    red, green, blue = (round(255 - (255 - part) * 0.8 * abs(share)) for part in colour)
    return f"black on rgb({red},{green},{blue})" if round(share, 1) else ""


if __name__ == "__main__":
    run_command(main)
