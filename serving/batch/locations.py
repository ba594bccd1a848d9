"""Folders and Parquet files, on this machine or in S3."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from commentwise.comments.formats.parquet import import_pyarrow
from commentwise.errors import CommentwiseError


class Store:
    """A folder on this machine or in S3."""

    def __init__(self, uri: str) -> None:
        """Raises CommentwiseError if the URI is not that of a local path or supported storage."""
        import_pyarrow(uri)
        from pyarrow import fs

        self.uri = uri
        self.place = (
            uri if "://" in uri else str(Path(uri).resolve())
        )  # absolute, for processes in other working directories
        with storage_errors(uri):
            self.files, self.root = fs.FileSystem.from_uri(self.place)
        self._selector = fs.FileSelector

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if it does not exist."""
        try:
            with storage_errors(self.uri), self.files.open_input_stream(f"{self.root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file atomically: with a rename, or in S3 by the upload itself."""
        path = PurePosixPath(self.root, name)
        local = self.files.type_name == "local"
        beside = path.with_name(f".{path.name}") if local else path
        with storage_errors(self.uri):
            if local:
                self.files.create_dir(str(path.parent), recursive=True)
            with self.files.open_output_stream(str(beside)) as stream:
                stream.write(content)
            if local:
                self.files.move(str(beside), str(path))

    def facts(self) -> str:
        """The full name of a file, its size and modification time."""
        with storage_errors(self.uri):
            info = self.files.get_file_info(self.root)
        return f"{self.place} ({info.size} bytes, changed {info.mtime and info.mtime.isoformat()})"

    def names(self, folder: str = "") -> list[str]:
        """The names of the files in a folder, sorted; empty if it does not exist."""
        place = f"{self.root}/{folder}".rstrip("/")
        with storage_errors(self.uri):
            found = self.files.get_file_info(self._selector(place, allow_not_found=True))
        return sorted(entry.base_name for entry in found if entry.is_file)

    def is_empty(self) -> bool:
        """True if the folder is empty or does not exist."""
        with storage_errors(self.uri):
            return not self.files.get_file_info(self._selector(self.root, allow_not_found=True))

    def is_folder(self) -> bool:
        """True if the URI is that of a folder."""
        with storage_errors(self.uri):
            return str(self.files.get_file_info(self.root).type.name) == "Directory"

    def clear(self) -> None:
        """Delete the content of the folder."""
        with storage_errors(self.uri):
            self.files.delete_dir_contents(self.root, missing_dir_ok=True)


@contextmanager
def storage_errors(uri: str) -> Iterator[None]:
    """Turn errors of the storage, except FileNotFoundError, into a CommentwiseError of one line."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # the base classes of Arrow's errors
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CommentwiseError(
            f"{uri} cannot be used ({reason[:300]}): check the name, the address and the credentials"
        ) from None


def parquet_files(names: Sequence[str]) -> list[str]:
    """The Parquet files in `names`, and those in folders in `names`."""
    paths = []
    for name in names:
        store = Store(name)
        inside = (
            [f"{name.rstrip('/')}/{file}" for file in store.names() if file.endswith(".parquet")]
            if store.is_folder()
            else [name]
        )
        if not inside or not all(file.lower().endswith(".parquet") for file in inside):
            raise CommentwiseError(
                f"{name} is neither a Parquet file nor a folder with Parquet files: --engine ray reads only these"
            )
        paths += inside
    return paths


@contextmanager
def opened(uri: str) -> Iterator[Any]:
    """Open a Parquet file. Raises CommentwiseError if it cannot be read."""
    pyarrow = import_pyarrow(uri)
    place = Store(uri)
    try:
        with (
            storage_errors(uri),
            place.files.open_input_file(place.root) as stream,
            pyarrow.parquet.ParquetFile(stream) as file,
        ):
            yield file
    except FileNotFoundError:
        raise CommentwiseError(f"{uri} does not exist: name another file") from None
