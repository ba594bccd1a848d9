"""Register the bundle, and make it champion if it beats the current champion on the same test comments.

Every step is identified by content, so the command can be interrupted and repeated at any time.
"""

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.tracking import MlflowClient

from commentwise.errors import CommentwiseError, run_command
from commentwise.fileio import file_hash, read_json
from commentwise.models.bundle import MANIFEST, Classifier, bundle_id, verify_files
from commentwise.models.checkpoint import is_local
from commentwise.training.candidate import GRAPH, read_metrics, read_part
from commentwise.training.families import catalog
from commentwise.training.project import Project
from commentwise.training.provenance import author, folder_md5
from commentwise.training.registry.aliases import record_change
from commentwise.training.registry.card import model_card
from commentwise.training.registry.flavor import write_flavor
from commentwise.training.registry.tracking import EXPERIMENT, connect, record_candidate
from commentwise.training.registry.versions import (
    AUTHOR_TAG,
    BUNDLE_FOLDER,
    BUNDLE_TAG,
    CHALLENGER,
    CHAMPION,
    CHOICE_TAG,
    DECISION_TAG,
    PREVIOUS_TAG,
    aliased,
    champion,
    downloaded,
    manifest_of,
    version_of_bundle,
)
from commentwise.training.scores import paired_bootstrap
from commentwise.training.settings import Settings, load_settings

ALREADY = "it already was"
OTHER_LABELS = "--other-labels"


def main() -> None:
    """Publish the project's bundle."""
    parser = argparse.ArgumentParser(prog="commentwise publish", description=__doc__)
    parser.add_argument(
        OTHER_LABELS, action="store_true", help="replace a champion with other labels, which cannot be compared"
    )
    arguments = parser.parse_args()
    project = Project()
    settings = load_settings(project.params)
    verify_files(project.bundle)
    client = connect(project)
    version = register(client, project, settings)
    alias, reason = judge(client, project, version, settings, arguments.other_labels)
    if reason != ALREADY:  # before the alias, whose history quotes it
        client.set_model_version_tag(version.name, version.version, DECISION_TAG, reason)
    move_alias(client, version, alias)
    if warning := _local_checkpoint(project, settings.candidates):
        print(f"warning: {warning}")
    print(f"publish: version {version.version} of {version.name!r} is {alias}: {reason}")
    if alias == CHALLENGER and (current := champion(client, version.name)):
        print(
            f"publish: champion is still version {current.version}, and {project.bundle} holds version {version.version}: "
            f"`commentwise serve --model models:/{version.name}@{CHAMPION}` serves the champion"
        )


def register(client: MlflowClient, project: Project, settings: Settings) -> ModelVersion:
    """Record the candidates, upload the bundle and its model card, and create a version; skip what exists already."""
    for family in settings.candidates:
        record_candidate(client, project, family, settings)
    model, bundle = settings.publish.model, bundle_id(project.bundle)
    if version := version_of_bundle(client, model, bundle):
        return version
    run_id = _uploaded_run(client, bundle) or _upload(client, project, bundle, settings.candidates)
    try:
        client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(
            RESOURCE_ALREADY_EXISTS
        ):  # it may exist, or another process may have created it
            raise
    manifest = read_json(project.bundle / MANIFEST)
    return client.create_model_version(
        model,
        source=f"runs:/{run_id}/{BUNDLE_FOLDER}",
        run_id=run_id,
        tags={
            BUNDLE_TAG: bundle,
            "git.commit": str(manifest["git"]["commit"]),
            "data.prepared_md5": manifest["data"]["prepared_md5"],
            AUTHOR_TAG: author(project.root),
            CHOICE_TAG: read_json(project.selection)["reason"],
        },
        description=f"{manifest['family']} on {manifest['data']['source']}; see model_card.md in the run's artifacts",
    )


def _uploaded_run(client: MlflowClient, bundle: str) -> str | None:
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], f"tags.`{BUNDLE_TAG}` = '{bundle}'", max_results=1)
    return runs[0].info.run_id if runs else None


def _upload(client: MlflowClient, project: Project, bundle: str, families: Sequence[str]) -> str:
    manifest = read_json(project.bundle / MANIFEST)
    with mlflow.start_run(run_name=f"bundle-{manifest['family']}") as run:
        mlflow.log_artifacts(str(project.bundle), BUNDLE_FOLDER)
        with TemporaryDirectory(prefix="commentwise-") as folder:
            write_flavor(Path(folder), manifest["labels"], run.info.run_id)
            mlflow.log_artifacts(folder, BUNDLE_FOLDER)
        mlflow.log_text(
            model_card(manifest, read_json(project.selection), read_json(project.baselines)), "model_card.md"
        )
        mlflow.log_text(json.dumps(candidate_facts(project, families), indent=2), "candidates.json")
        for family in families:
            mlflow.log_artifact(str(project.candidate(family) / "test.parquet"), f"candidates/{family}")
        # Set last: a run without this tag was interrupted, and is ignored.
        client.set_tag(run.info.run_id, BUNDLE_TAG, bundle)
    return str(run.info.run_id)


def candidate_facts(project: Project, families: Sequence[str]) -> dict[str, Any]:
    """The values that `commentwise reproduce` compares: scores, and the hash of the graph of a reproducible family.

    A family that started from a checkpoint in a local folder also has the md5 of that folder.
    """
    facts: dict[str, Any] = {}
    local = is_local(read_json(project.bundle / MANIFEST)["checkpoint"])
    for name in families:
        family, evaluation = catalog.families()[name], read_json(project.evaluated(name))
        facts[name] = {
            "test_macro_f1": evaluation["test"]["scores"]["macro_f1"]["value"],
            "validation_macro_f1": evaluation["validation"]["scores"]["macro_f1"]["value"],
            "graph_sha256": file_hash(project.candidate(name) / GRAPH) if family.reproducible else None,
            "local_checkpoint_md5": read_metrics(project.candidate(name)).get("checkpoint_md5") if local else None,
        }
    return facts


def _local_checkpoint(project: Project, families: Sequence[str]) -> str:
    """Why the version can be reproduced only here, or not at all; empty if its checkpoint can be had everywhere."""
    checkpoint = read_json(project.bundle / MANIFEST)["checkpoint"]
    trained = {facts["local_checkpoint_md5"] for facts in candidate_facts(project, families).values()} - {None}
    if not trained:
        return ""
    folder = project.root / Path(checkpoint).expanduser()
    present = folder_md5(folder) if folder.is_dir() else None
    if {present} != trained:
        return (
            f"this version cannot be reproduced: its checkpoint, the folder {checkpoint!r}, has "
            f"{'changed' if present else 'been deleted'} since the training (it had md5 {', '.join(sorted(trained))})"
        )
    tracked = subprocess.run(["git", "ls-files", "--", folder], cwd=project.root, capture_output=True, check=False)
    if tracked.stdout:
        return ""
    return (
        f"this version can be reproduced only where the folder {checkpoint!r} with md5 {present} exists, because neither git nor "
        "DVC keeps its checkpoint: keep a copy of that folder"
    )


def judge(
    client: MlflowClient, project: Project, version: ModelVersion, settings: Settings, other_labels: bool = False
) -> tuple[str, str]:
    """The alias for the project's version, champion or challenger, and the reason.

    Raises CommentwiseError if the champion has other labels, because the two cannot be compared, unless `other_labels`
    says that it is to be replaced.
    """
    current = champion(client, version.name)
    if current is None:
        return CHAMPION, "it is the first"
    if current.version == version.version:
        return CHAMPION, ALREADY
    test = read_part(project.prepared, "test", settings.labels)
    with downloaded(current, BUNDLE_FOLDER) as folder:
        incumbent = Classifier(folder)
        if incumbent.manifest.labels != settings.labels:
            labels = f"champion version {current.version} has the labels {incumbent.manifest.labels} and this bundle {settings.labels}"
            if other_labels:
                return CHAMPION, f"{labels}, so they were not compared, and {OTHER_LABELS} replaces it"
            raise CommentwiseError(
                f"{labels}: publish under another name (publish.model), or replace the champion with `commentwise publish {OTHER_LABELS}`"
            )
        champion_predicted = incumbent.probabilities(test.texts).argmax(axis=1)
    predicted = Classifier(project.bundle).probabilities(test.texts).argmax(axis=1)
    lead, (low, high) = paired_bootstrap(
        test.targets, predicted, champion_predicted, len(settings.labels), settings.evaluate.resamples, settings.seed
    )
    comparison = (
        f"{100 * lead:+.1f} points of macro-F1 against champion version {current.version} on the same {len(test.targets):,} test comments "
        f"(95% interval {100 * low:+.1f} to {100 * high:+.1f}){_leak_warning(current, version)}"
    )
    if low > 0:
        return CHAMPION, f"it beats the champion: {comparison}"
    return CHALLENGER, f"it is not significantly better than the champion: {comparison}"


def _leak_warning(current: ModelVersion, version: ModelVersion) -> str:
    if manifest_of(current)["data"]["prepared_md5"] == manifest_of(version)["data"]["prepared_md5"]:
        return ""
    return "; the champion was trained on another split and may have seen some of these comments, which favours it"


def move_alias(client: MlflowClient, version: ModelVersion, alias: str) -> None:
    """Set the alias to the version and record the change; every change of an alias goes through here.

    A new champion loses the alias challenger, and gets a tag with its predecessor.
    """
    before = aliased(client, version.name, alias)
    if alias == CHAMPION and before and before.version != version.version:
        client.set_model_version_tag(version.name, version.version, PREVIOUS_TAG, before.version)
    client.set_registered_model_alias(version.name, alias, version.version)
    record_change(client, version, alias, before)
    if alias == CHAMPION:
        challenger = aliased(client, version.name, CHALLENGER)
        if challenger and challenger.version == version.version:
            client.delete_registered_model_alias(version.name, CHALLENGER)


if __name__ == "__main__":
    run_command(main)
