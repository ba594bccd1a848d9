import zipfile
from pathlib import Path

from tests.extension.test_node import ROOT, run


def test_the_archive_is_what_the_store_takes() -> None:
    run("make", "--directory", ROOT, "extension")
    (archive,) = (ROOT / "dist").glob("commentwise-*.zip")
    first = archive.read_bytes()
    names = zipfile.ZipFile(archive).namelist()
    assert "manifest.json" in names
    assert {Path(name).suffix for name in names} == {".js", ".json", ".html", ".css", ".png"}
    assert not [name for name in names if "node_modules" in name or name.startswith("package")]
    run("make", "--directory", ROOT, "extension")
    assert archive.read_bytes() == first
