"""Move the alias champion back. Servers with --model models:/NAME@champion --poll 60 reload it without dropping a request.

commentwise rollback                      # to the previous champion
commentwise rollback 3 --why "complaints" # to a version, by number or alias
"""

import argparse
import getpass
from datetime import UTC, datetime

from mlflow.tracking import MlflowClient

from commentwise.errors import CommentwiseError, run_command
from commentwise.training.project import Project
from commentwise.training.registry.publish import move_alias
from commentwise.training.registry.tracking import connect
from commentwise.training.registry.versions import CHAMPION, DECISION_TAG, PREVIOUS_TAG, champion, find_version
from commentwise.training.settings import load_settings


def main() -> None:
    """Roll back, and print both versions."""
    parser = argparse.ArgumentParser(
        prog="commentwise rollback",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", nargs="?", help="a version's number or alias (default: the previous champion)")
    parser.add_argument("--why", default="no reason given", help="recorded in the registry")
    arguments = parser.parse_args()
    project = Project()
    model = load_settings(project.params).publish.model
    print(f"rollback: {roll_back(connect(project), model, arguments.version, arguments.why)}")


def roll_back(client: MlflowClient, model: str, target: str | None, why: str) -> str:
    """Make `target` champion, by default the previous champion; return a message that says so.

    Raises CommentwiseError if there is no champion, no previous one, or no version `target`.
    """
    current = champion(client, model)
    if current is None:
        raise CommentwiseError(f"{model!r} has no champion: publish one with `commentwise publish`")
    # MLflow returns the tags of a version that is fetched by its alias.
    previous = current.tags.get(PREVIOUS_TAG)
    if target is None and previous is None:
        raise CommentwiseError(
            f"version {current.version} of {model!r} is the first champion: name the version to go to"
        )
    version = find_version(client, model, target or str(previous))
    if version.version == current.version:
        return f"version {version.version} of {model!r} already was champion"
    before_target = version.tags.get(PREVIOUS_TAG)
    done = f"version {version.version} of {model!r} is champion instead of {current.version}"
    decision = f"{done}: {why} ({getpass.getuser()}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC)"
    client.set_model_version_tag(model, version.version, DECISION_TAG, decision)
    move_alias(client, version, CHAMPION)
    if before_target:  # a second rollback goes back to the version before
        client.set_model_version_tag(model, version.version, PREVIOUS_TAG, before_target)
    elif target is None:
        client.delete_model_version_tag(model, version.version, PREVIOUS_TAG)
    return done


if __name__ == "__main__":
    run_command(main)
