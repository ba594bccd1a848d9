"""Write dist/commentwise-VERSION.zip for the Chrome Web Store, with only the files that the manifest needs."""

import json
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
SHIPPED = ("manifest.json", "background.js", "_locales", "content", "icons", "lib", "options", "popup")
SUFFIXES = {".js", ".json", ".html", ".css", ".png"}


def main() -> None:
    """Pack the folder this file is in."""
    version = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))["version"]
    archive = HERE.parent / "dist" / f"commentwise-{version}.zip"
    archive.parent.mkdir(exist_ok=True)
    found = [path for name in SHIPPED for path in [HERE / name, *(HERE / name).rglob("*")]]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(path for path in found if path.is_file() and path.suffix in SUFFIXES):
            # ZipInfo's default date is 1980, so that the same files give the same archive.
            entry = zipfile.ZipInfo(path.relative_to(HERE).as_posix())
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())
    print(archive.relative_to(HERE.parent))


if __name__ == "__main__":
    main()
