"""Names of bundles in a registry, resolved by real processes to folders in a cache."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import commentwise
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier, bundle_id, verify_files
from commentwise.models.names import bundle_folder
from tests.registry import register
from tests.serving.scoring import rows_of, score, write_rows
from tests.tiny import write_tiny_manifest

CHAMPION = "models:/commentwise@champion"


@pytest.fixture(scope="module")
def registry(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """The address of a registry with two versions, and the ids of their bundles."""
    folder = tmp_path_factory.mktemp("registry")
    second = shutil.copytree(tiny_bundle, folder / "second")
    write_tiny_manifest(second, metrics={"test": {"macro_f1": 0.8}})
    register(folder, tiny_bundle)
    return register(folder, second), [bundle_id(tiny_bundle), bundle_id(second)]


@pytest.fixture
def ids(registry: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the versions of a registry, which the environment names, with an empty cache."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry[0])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return registry[1]


def test_processes_share_a_verified_copy_named_by_content(ids: list[str], tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(bundle_folder, [CHAMPION, CHAMPION, "models:/commentwise/1"]))
    assert [folder.name for folder in folders] == [ids[1], ids[1], ids[0]]
    assert {folder.parent for folder in folders} == {tmp_path / "cache/commentwise/bundles"}
    assert [bundle_id(folder) for folder in folders] == [folder.name for folder in folders]
    before = (folders[0] / "manifest.json").stat().st_ino
    (folders[2] / "tokenizer.json").write_text("damaged")
    assert bundle_folder("models:/commentwise/2").joinpath("manifest.json").stat().st_ino == before
    verify_files(bundle_folder("models:/commentwise/1"))  # downloaded again
    assert {path.suffix for path in folders[0].parent.iterdir()} == {"", ".lock"}


def test_a_name_loads_like_its_folder(ids: list[str], tiny_bundle: Path) -> None:
    texts = ["a good video", "bad"]
    expected = Classifier(tiny_bundle).predict(texts)
    assert commentwise.load(CHAMPION).predict(texts) == commentwise.load(tiny_bundle).predict(texts) == expected


def test_files_are_scored_with_the_version_that_is_named(ids: list[str], tmp_path: Path) -> None:
    write_rows(tmp_path / "in.csv", [{"text": "good"}])
    ended = score(tmp_path, "models:/commentwise/1", "in.csv", "-o", "out.csv")
    assert ended.code == 0, ended.errors
    assert rows_of(tmp_path / "out.csv")[0]["bundle"] == ids[0][:12]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models:/commentwise", "names no version: write models:/NAME@ALIAS or models:/NAME/3"),
        ("models:/commentwise@nobody", "models:/commentwise@nobody in sqlite:.*nobody"),
        ("models:/commentwise/9", "models:/commentwise/9 in sqlite:.*9"),
    ],
)
def test_a_name_without_a_version_is_refused(ids: list[str], name: str, message: str) -> None:
    with pytest.raises(CommentwiseError, match=message):
        bundle_folder(name)
