"""Changes of parameters, environment, model and code between two sides."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from commentwise.training.compare.sides import Side
from commentwise.training.project import Project
from commentwise.training.provenance import CODE, git_output

MAX_COMMITS = 50
SUBJECTS = {
    "preprocessing": ("training/data/", "comments/"),
    "training": (
        "training/families/",
        "training/finetune/",
        "training/candidate.py",
        "models/encoders/",
        "models/tokens.py",
    ),
    "choice and export": ("training/choice/", "models/"),
}
"""The subject of a changed file, by the beginning of its path; the first match counts."""
OTHER = "other"


@dataclass(frozen=True)
class Change:
    """A value that differs; None where there is none."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name} {shown(self.before)} -> {shown(self.after)}"


@dataclass(frozen=True)
class CodeChanges:
    """What changed in the code that a result depends on."""

    before: str | None
    """The commit; None outside of git."""
    after: str | None
    commits: list[str]
    """Those between that changed such code: short hash and subject, the latest first, at most `MAX_COMMITS`."""
    files: list[str]
    """Those that differ between the two commits."""
    uncommitted: dict[str, list[str]]
    """Title of a side to the files that differed from its commit, so that their code is not kept."""
    unknown: str
    """Why the commits cannot be compared; empty if they can."""

    @property
    def doubt(self) -> str:
        """Why more code may have changed than `files`; empty if it is certain that it has not."""
        if self.unknown:
            return self.unknown
        return "; ".join(
            f"{title} was made with uncommitted changes in {', '.join(files)}"
            for title, files in self.uncommitted.items()
        )

    def by_subject(self) -> dict[str, list[str]]:
        """The changed files by what they decide."""
        found: dict[str, list[str]] = {}
        for file in self.files:
            found.setdefault(subject_of(file), []).append(file)
        return found


def shown(value: Any) -> str:
    """A value as one reads it; a dash for none."""
    return "–" if value is None else str(value)


def subject_of(file: str) -> str:
    """What a file of the code decides.

    >>> subject_of("comments/normalize.py"), subject_of("models/graphs/linear.py"), subject_of("dvc.yaml")
    ('preprocessing', 'choice and export', 'other')
    """
    return next((subject for subject, starts in SUBJECTS.items() if file.startswith(starts)), OTHER)


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted name.

    >>> flattened({"select": {"margin": 0.01}, "labels": ["a", "b"]})
    {'select.margin': 0.01, 'labels': ['a', 'b']}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The values that differ, by dotted name, in the order of `before` and then of `after`."""
    one, other = flattened(before), flattened(after)
    names = dict.fromkeys([*one, *other])
    return [Change(name, one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)]


def model_facts(side: Side) -> dict[str, Any]:
    """The facts about a bundle that say what kind of model it is."""
    manifest = side.manifest
    graph = manifest["devices"].get("cpu")
    return {
        "family": manifest["family"],
        "checkpoint": manifest["checkpoint"],
        "labels": manifest["labels"],
        "max_tokens": manifest["max_tokens"],
        "normalization_version": manifest["normalization_version"],
        "precision on the CPU": manifest["files"][graph]["precision"] if graph else None,
        "temperature": round(manifest["temperature"], 3),
    }


def code_changes(project: Project, before: Side, after: Side) -> CodeChanges:
    """Compare the code of the sides' commits, and name what was not committed."""
    uncommitted = {side.title: side.dirty for side in (before, after) if side.dirty}
    commits: list[str] = []
    files: list[str] = []
    unknown = ""
    missing = [side for side in (before, after) if not _has(project, side.commit)]
    if missing:
        side = missing[0]
        unknown = (
            f"commit {side.commit[:12]} of {side.title} is not in this repository: fetch it"
            if side.commit
            else f"{side.title} was made outside of a git repository"
        )
    elif before.commit != after.commit:
        log = git_output(
            project.root,
            "log",
            f"--max-count={MAX_COMMITS}",
            "--format=%h %s",
            f"{before.commit}...{after.commit}",
            "--",
            *CODE,
        )
        commits = log.splitlines()
        diff = git_output(
            project.root, "diff", "--name-only", "--relative", f"{before.commit}..{after.commit}", "--", *CODE
        )
        files = diff.splitlines()
    return CodeChanges(before.commit, after.commit, commits, files, uncommitted, unknown)


def as_dicts(found: list[Change]) -> list[dict[str, Any]]:
    """Changes for JSON."""
    return [asdict(change) for change in found]


def _has(project: Project, commit: str | None) -> bool:
    return bool(commit and git_output(project.root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"))
