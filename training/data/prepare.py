"""Stage prepare: normalise the comments, group copies, split, and write the data report."""

import pandas as pd

from commentwise.comments.copies import group_copies
from commentwise.comments.language import language_of
from commentwise.comments.normalize import normalize
from commentwise.comments.table import comments_schema, read_comments, summarize_rejects, write_rejects, write_table
from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import atomic_folder, write_json, write_text
from commentwise.training.data.profile import data_report, to_markdown
from commentwise.training.data.split import held_out_part, split
from commentwise.training.project import PARTS, Project, part_file
from commentwise.training.settings import Settings, load_settings


def main() -> None:
    """Prepare the project's comments."""
    project = Project()
    settings = load_settings(project.params)
    table = read_comments(project.raw, comments_schema(settings.labels, settings.data.max_characters))
    prepared, unlabelled, rejects = prepare(table, settings)
    report = data_report(prepared, unlabelled, rejects, settings.labels)
    with atomic_folder(project.prepared) as folder:
        for part in PARTS:
            write_table(prepared[prepared["part"] == part].drop(columns="part"), part_file(folder, part))
        write_table(unlabelled, folder / project.unlabelled.name)
        write_rejects(rejects, folder / project.prepared_rejects.name)
        write_json(project.data_report, report)
        write_text(project.data_report.with_suffix(".md"), to_markdown(report))
    sizes = ", ".join(f"{part} {report['parts'][part]['comments']:,}" for part in PARTS)
    print(
        f"prepare: {len(table):,} comments: {sizes}, unlabelled {len(unlabelled):,}, {summarize_rejects(rejects, project.prepared_rejects)}; "
        f"report in {project.data_report.with_suffix('.md')}"
    )


def prepare(table: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the labelled comments, the unlabelled ones, and the rejects (columns row, reason, text).

    Texts are normalised. Labelled comments get a column group, the same for copies of a comment, and their part in the
    column part. Comments without a language in the source get one. Raises CommentwiseError when there are too few
    labelled comments for three parts, or only one label, or when more comments are set aside than `data.max_rejected` allows.
    """
    table = table.set_axis(pd.RangeIndex(1, len(table) + 1))
    table["text"] = table["text"].map(normalize)
    empty = table["text"] == ""
    rejects = [_rejects(table[empty], "text is empty after normalisation")]
    table["language"] = _languages(table)
    unlabelled = table[~empty & table["label"].isna()].drop(columns="part")
    labelled = table[~empty & table["label"].notna()].copy()
    if len(labelled) < len(PARTS):
        raise CommentwiseError(
            f"{len(labelled)} labelled comments are too few for the {len(PARTS)} parts {', '.join(PARTS)}: add labelled comments"
        )
    if labelled["label"].nunique() == 1:
        raise CommentwiseError(
            f"all {len(labelled)} labelled comments are {labelled['label'].iloc[0]!r}: a classifier needs comments of two labels or more"
        )
    labelled["group"] = group_copies(labelled["text"].tolist(), settings.prepare.near_duplicate)
    # If the source has its own split, copies of held-out comments in other parts would be leaks.
    held_out = held_out_part(labelled)
    leaked = held_out.notna() & (held_out != labelled["part"])
    rejects.append(_rejects(labelled[leaked], "copy of a comment in a held-out part of the source"))
    set_aside = pd.concat(rejects, ignore_index=True)
    _check_share(set_aside, len(table), settings.data.max_rejected)
    labelled = labelled[~leaked].copy()
    labelled["part"] = split(
        labelled, settings.labels, settings.prepare.validation, settings.prepare.test, settings.seed
    )
    return labelled, unlabelled, set_aside


def _check_share(rejects: pd.DataFrame, comments: int, max_rejected: float) -> None:
    if len(rejects) > max_rejected * comments:
        reasons = ", ".join(
            f"{count:,} {reason} (first row {rejects['row'][rejects['reason'] == reason].iloc[0]})"
            for reason, count in rejects["reason"].value_counts().items()
        )
        raise CommentwiseError(
            f"{len(rejects):,} of {comments:,} comments would be set aside, more than data.max_rejected = {max_rejected:g} allows: {reasons}; "
            "check the comments, or raise data.max_rejected to go on without them"
        )


def _languages(table: pd.DataFrame) -> pd.Series:
    """The language of each comment: the source's, or else the one that its text is in."""
    known = table["language"] if "language" in table else pd.Series(None, index=table.index, dtype="str")
    return known.fillna(table["text"][known.isna()].map(language_of).astype("str"))


def _rejects(table: pd.DataFrame, reason: str) -> pd.DataFrame:
    return pd.DataFrame({"row": table.index, "reason": reason, "text": table["text"].str[:200].to_numpy()})


if __name__ == "__main__":
    run_command(main)
