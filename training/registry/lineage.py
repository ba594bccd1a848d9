"""Print the origin of a registered version: code, data, scores, environment, files.

commentwise lineage 3
commentwise lineage champion --full   # with the parameters, packages and hashes, as YAML
"""

import argparse
import json
from datetime import datetime
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from commentwise.errors import run_command
from commentwise.training.project import Project
from commentwise.training.provenance import commit_date
from commentwise.training.registry.aliases import champion_spans, changes
from commentwise.training.registry.dates import shown
from commentwise.training.registry.history_tables import version_facts
from commentwise.training.registry.records import created, version_record
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import BUNDLE_TAG, champion, find_version, manifest_of, versions
from commentwise.training.settings import load_settings


def main() -> None:
    """Print the lineage of the version named on the command line."""
    parser = argparse.ArgumentParser(
        prog="commentwise lineage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", help="a version's number, or an alias such as champion")
    parser.add_argument("--full", action="store_true", help="print everything, as YAML")
    parser.add_argument("--json", action="store_true", help="print everything, as JSON")
    arguments = parser.parse_args()
    project = Project()
    if arguments.json:
        print(json.dumps(describe(project, arguments.version), indent=2), end="")
    elif arguments.full:
        print(yaml.safe_dump(describe(project, arguments.version), sort_keys=False, allow_unicode=True), end="")
    else:
        Console(highlight=False).print(summary(project, arguments.version))


def describe(project: Project, name: str) -> dict[str, Any]:
    """The lineage of a version, by number or alias. Raises CommentwiseError if there is no such version."""
    client = connect(project)
    version = find_version(client, load_settings(project.params).publish.model, name)
    manifest = manifest_of(version)
    # A version fetched by its number lacks its aliases.
    aliases = client.get_registered_model(version.name).aliases
    record = version_record(client, version, {})
    return {
        "version": int(version.version),
        "published": record.published.isoformat(timespec="seconds"),
        "author": record.author,
        "aliases": sorted(alias for alias, number in aliases.items() if str(number) == str(version.version)),
        "choice": record.choice,
        "decision": record.decision,
        "run": version.run_id,
        "git": manifest["git"] | {"date": commit_date(project.root, manifest["git"]["commit"])},
        "data": manifest["data"],
        "family": manifest["family"],
        "checkpoint": manifest["checkpoint"],
        "params": manifest["params"],
        "test": {score: facts["value"] for score, facts in manifest["metrics"]["test"]["scores"].items()},
        "environment": manifest["environment"],
        "bundle": version.tags[BUNDLE_TAG],
        "files": {file: facts["sha256"] for file, facts in manifest["files"].items()},
    }


def summary(project: Project, name: str) -> Table:
    """The lineage of a version on one screen. Raises CommentwiseError if there is no such version."""
    client = connect(project)
    version = find_version(client, load_settings(project.params).publish.model, name)
    manifest, recorded, current = manifest_of(version), changes(client, version.name), champion(client, version.name)
    published = {int(known.version): created(known) for known in versions(client, version.name)}
    spans = champion_spans(recorded, published, int(current.version) if current else None)
    environment = manifest["environment"]
    known = version_facts(version_record(client, version, {}), spans, recorded)
    earlier = [fact for fact in known if fact[0] == "alias"][:-1]  # `commentwise history` lists them
    facts = [
        ("version", f"{version.version} of {version.name!r}"),
        *(fact for fact in known if fact not in earlier),
        ("code", _code(project, manifest["git"])),
        ("start", f"checkpoint {manifest['checkpoint']}"),
        ("trained on", f"Python {environment['python']}, {environment['system']}"),
        ("files", ", ".join(f"{file} {_size(known['size'])}" for file, known in manifest["files"].items())),
        ("bundle", version.tags[BUNDLE_TAG]),
        ("run", str(version.run_id)),
    ]
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for title, fact in facts:
        table.add_row(title, Text(fact))
    return table


def _code(project: Project, git: dict[str, Any]) -> str:
    if git["commit"] is None:
        return "not in a git repository"
    date = commit_date(project.root, git["commit"])
    when = shown(datetime.fromisoformat(date)) if date else "of unknown date, because it is not in this repository"
    return f"commit {git['commit'][:12]}, {when}{_changed(git['dirty'])}"


def _changed(dirty: list[str]) -> str:
    return f", with uncommitted changes in {', '.join(dirty)}" if dirty else ""


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


if __name__ == "__main__":
    run_command(main)
