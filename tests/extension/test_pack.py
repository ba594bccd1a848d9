import subprocess
import zipfile

from tests.extension.programs import ROOT


def test_the_archive_contains_only_what_the_store_needs() -> None:
    pack = ["make", "--silent", "extension"]
    subprocess.run(pack, cwd=ROOT, check=True)
    (archive,) = (ROOT / "dist").glob("commentwise-*.zip")
    first = archive.read_bytes()
    names = zipfile.ZipFile(archive).namelist()
    assert "manifest.json" in names
    assert {"." + name.rpartition(".")[2] for name in names} == {".js", ".json", ".html", ".css", ".png"}
    assert not [name for name in names if "node_modules" in name or name.startswith("package")]
    subprocess.run(pack, cwd=ROOT, check=True)
    assert archive.read_bytes() == first
