"""Print the origin of a registered version: code, data, parameters, scores, environment, files.

commentwise lineage 3
commentwise lineage champion
"""

import argparse
import json
from typing import Any

import yaml

from commentwise.errors import run_command
from commentwise.training.project import Project
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import BUNDLE_TAG, DECISION_TAG, find_version, manifest_of
from commentwise.training.settings import load_settings


def main() -> None:
    """Print the lineage of the version named on the command line."""
    parser = argparse.ArgumentParser(
        prog="commentwise lineage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", help="a version's number, or an alias such as champion")
    parser.add_argument("--json", action="store_true", help="print JSON instead of YAML")
    arguments = parser.parse_args()
    lineage = describe(Project(), arguments.version)
    print(
        json.dumps(lineage, indent=2)
        if arguments.json
        else yaml.safe_dump(lineage, sort_keys=False, allow_unicode=True),
        end="",
    )


def describe(project: Project, name: str) -> dict[str, Any]:
    """The lineage of a version, by number or alias. Raises CommentwiseError if there is no such version."""
    client = connect(project)
    version = find_version(client, load_settings(project.params).publish.model, name)
    manifest = manifest_of(version)
    # A version fetched by its number lacks its aliases.
    aliases = client.get_registered_model(version.name).aliases
    return {
        "version": int(version.version),
        "aliases": sorted(alias for alias, number in aliases.items() if str(number) == str(version.version)),
        "decision": version.tags.get(DECISION_TAG),
        "run": version.run_id,
        "git": manifest["git"],
        "data": manifest["data"],
        "family": manifest["family"],
        "checkpoint": manifest["checkpoint"],
        "params": manifest["params"],
        "test": {score: facts["value"] for score, facts in manifest["metrics"]["test"]["scores"].items()},
        "environment": manifest["environment"],
        "bundle": version.tags[BUNDLE_TAG],
        "files": {file: facts["sha256"] for file, facts in manifest["files"].items()},
    }


if __name__ == "__main__":
    run_command(main)
