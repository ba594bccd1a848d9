"""The reference of a bundle, from a split on disk, through the command."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from commentwise.errors import CommentwiseError
from commentwise.models.bundle import bundle_id
from commentwise.monitoring.signals import reference
from commentwise.monitoring.signals.reference import load_reference
from commentwise.monitoring.signals.rows import TRAITS
from commentwise.training.provenance import folder_md5
from tests.tiny import NEGATIVE, NEUTRAL, POSITIVE, write_tiny_bundle, write_tiny_manifest
from tests.training.conftest import make_part

WORDS = {"negative": NEGATIVE, "neutral": NEUTRAL[:5], "positive": POSITIVE}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a split and a bundle that was trained on it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow sets it
    prepared, bundle = tmp_path / "data/prepared", tmp_path / "artifacts/bundle"
    prepared.mkdir(parents=True)
    for part in ("train", "validation", "test"):
        make_part(120, WORDS).to_parquet(prepared / f"{part}.parquet", index=False)
    bundle.mkdir(parents=True)
    write_tiny_bundle(bundle)
    write_tiny_manifest(bundle, data={"prepared_md5": folder_md5(prepared)})
    monkeypatch.setattr(sys, "argv", ["reference"])
    return tmp_path


def test_it_holds_the_held_out_comments_and_the_training_vocabulary(here: Path) -> None:
    reference.main()
    found = load_reference(Path("artifacts/monitoring/reference.json"))
    assert found.bundle_id == bundle_id(Path("artifacts/bundle"))
    assert len(found.rows) == len(found.targets) == 240
    assert {"good", "bad"} <= found.vocabulary
    assert found.new_word_shares(["good zorp", "good bad", "!!"]).tolist() == [0.5, 0, 0]
    np.testing.assert_allclose(found.rows.probabilities.sum(axis=1), 1, atol=1e-5)
    assert set(found.rows.traits) == set(TRAITS)
    assert found.rows.texts is not None


def test_a_split_that_the_bundle_was_not_trained_on_is_refused(here: Path) -> None:
    """It might contain comments that the bundle was trained on, which would make it look better than it is."""
    make_part(150, WORDS).to_parquet("data/prepared/test.parquet", index=False)
    with pytest.raises(CommentwiseError, match="is not the split that artifacts/bundle was trained on"):
        reference.main()
    assert not Path("artifacts/monitoring").exists()


def test_too_few_comments_are_refused(here: Path) -> None:
    for part in ("validation", "test"):
        make_part(60, WORDS).to_parquet(f"data/prepared/{part}.parquet", index=False)
    write_tiny_manifest(Path("artifacts/bundle"), data={})
    with pytest.raises(CommentwiseError, match="holds 120 held-out comments and a reference needs 200"):
        reference.main()


def test_a_missing_reference_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(CommentwiseError, match="is missing: create it with `commentwise reference`"):
        load_reference(tmp_path / "reference.json")


def test_traits_are_computed_as_the_server_computes_them(here: Path) -> None:
    reference.main()
    content = json.loads(Path("artifacts/monitoring/reference.json").read_text(encoding="utf-8"))
    traits = reference.logged_traits(Path("artifacts/bundle"), ["a  GOOD zorp &amp; 🔥"])
    assert traits["unknown_share"] == [0.6]
    assert traits["emoji_share"][0] > 0
    assert set(content["signals"]) == set(traits)
