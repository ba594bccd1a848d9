"""Stage report: write the page about the run, artifacts/report.html. It loads nothing, and can be sent to anybody who may read the comments."""

from commentwise.errors import run_command
from commentwise.fileio import write_text
from commentwise.training.pages import page, score_text
from commentwise.training.project import Project
from commentwise.training.report import quality, sections
from commentwise.training.report.results import Results, read_results
from commentwise.training.settings import load_settings

MAX_NAMED_LABELS = 6


def main() -> None:
    """Write the page of the project in the current folder."""
    project = Project()
    results = read_results(project, load_settings(project.params))
    write_text(project.report, report(results))
    print(
        f"report: {results.winner}, test macro-F1 {score_text(**results.test['scores']['macro_f1'])} -> {project.report}"
    )


def report(results: Results) -> str:
    """The page as HTML; the same results give the same text."""
    content = (
        sections.data(results),
        sections.choice(results),
        quality.scores(results),
        quality.matrix(results),
        quality.confidence(results),
        quality.learning(results),
        quality.groups(results),
        quality.errors(results),
        sections.serving(results),
        sections.lineage(results),
    )
    source = results.manifest["data"]["source"]
    return page(
        f"{results.winner} on {source}",
        f"{results.winner}: {_labels(results.settings.labels)}",
        _summary(results),
        content,
        about=f"Commentwise, trained on {source}",
        footer="Written by the pipeline (stage report) from its results. The examples are comments of the test part.",
        dated=False,
    )


def _labels(labels: list[str]) -> str:
    """
    >>> _labels(["spam", "ham"]), _labels([str(topic) for topic in range(20)])
    ('spam or ham', 'one of 20 labels')
    """
    if len(labels) > MAX_NAMED_LABELS:
        return f"one of {len(labels)} labels"
    return f"{', '.join(labels[:-1])} or {labels[-1]}"


def _summary(results: Results) -> str:
    accuracy = results.test["scores"]["accuracy"]
    always, majority = next(iter(results.baselines.items()))
    served = results.export["devices"]["cpu"]
    speed = next(each["comments_per_second"] for each in results.export["variants"] if each["file"] == served)
    return (
        f"Right for {accuracy['value']:.1%} of {results.test['comments']:,} comments that it had not seen (95% interval {accuracy['low']:.1%} "
        f"to {accuracy['high']:.1%}; {always}: {majority['test']['accuracy']:.1%}). On the CPU, {served} answers {speed:,.0f} comments per second."
    )


if __name__ == "__main__":
    run_command(main)
