"""Stage prepare: normalise the comments, group copies, split, and write the data report."""

import pandas as pd

from commentwise.comments.copies import group_copies
from commentwise.comments.normalize import normalize
from commentwise.comments.table import comments_schema, read_comments, write_rejects, write_table
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
        f"prepare: {sizes}; {len(rejects):,} rows set aside in {project.prepared_rejects}; report in {project.data_report.with_suffix('.md')}"
    )


def prepare(table: pd.DataFrame, settings: Settings) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the labelled comments, the unlabelled ones, and the rejects (columns row, reason, text).

    Texts are normalised. Labelled comments get a column group, the same for copies of a comment, and their part in the
    column part. Raises CommentwiseError when there are too few labelled comments for three parts, only one label, or more
    rows to set aside than `data.max_rejected` allows.
    """
    table = table.set_axis(pd.RangeIndex(1, len(table) + 1))
    table["text"] = table["text"].map(normalize)
    empty = table["text"] == ""
    rejects = [_rejects(table[empty], "text is empty after normalisation")]
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
    if (aside := sum(map(len, rejects))) > settings.data.max_rejected * len(table):
        raise CommentwiseError(
            f"{aside} of {len(table)} comments would be set aside, more than data.max_rejected = {settings.data.max_rejected:g} allows: "
            f"{int(leaked.sum())} are copies of comments in a held-out part of the source, {int(empty.sum())} are empty after normalisation; "
            "remove these copies from the source's own split, raise data.max_rejected, or unset data.columns.part to split again"
        )
    labelled = labelled[~leaked].copy()
    labelled["part"] = split(
        labelled, settings.labels, settings.prepare.validation, settings.prepare.test, settings.seed
    )
    return labelled, unlabelled, pd.concat(rejects, ignore_index=True)


def _rejects(table: pd.DataFrame, reason: str) -> pd.DataFrame:
    return pd.DataFrame({"row": table.index, "reason": reason, "text": table["text"].str[:200].to_numpy()})


if __name__ == "__main__":
    run_command(main)
