"""Folders and Parquet files, on this machine or in S3."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from commentwise.comments.files import import_pyarrow
from commentwise.errors import CommentwiseError


class Store:
    """A folder on this machine or in S3."""

    def __init__(self, uri: str) -> None:
        """Raises CommentwiseError when the URI names no kind of storage that there is."""
        import_pyarrow(uri)
        from pyarrow import fs

        self.uri = uri
        self.place = uri if "://" in uri else str(Path(uri).resolve())  # for processes that run in other folders
        with storage_errors(uri):
            self.files, self.root = fs.FileSystem.from_uri(self.place)
        self._selector = fs.FileSelector

    def read(self, name: str) -> bytes | None:
        """A file's content; None where there is none."""
        try:
            with storage_errors(self.uri), self.files.open_input_stream(f"{self.root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all: S3 shows one when it is complete."""
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
        """Of a file: its full name, its size and when it was changed."""
        with storage_errors(self.uri):
            info = self.files.get_file_info(self.root)
        return f"{self.place} ({info.size} bytes, changed {info.mtime and info.mtime.isoformat()})"

    def names(self, folder: str = "") -> list[str]:
        """The files in a folder, in order; none where it is missing."""
        place = f"{self.root}/{folder}".rstrip("/")
        with storage_errors(self.uri):
            found = self.files.get_file_info(self._selector(place, allow_not_found=True))
        return sorted(entry.base_name for entry in found if entry.is_file)

    def is_empty(self) -> bool:
        """Whether nothing is in it, or it is missing."""
        with storage_errors(self.uri):
            return not self.files.get_file_info(self._selector(self.root, allow_not_found=True))

    def is_folder(self) -> bool:
        """Whether the URI names a folder."""
        with storage_errors(self.uri):
            return str(self.files.get_file_info(self.root).type.name) == "Directory"

    def clear(self) -> None:
        """Delete what is in it."""
        with storage_errors(self.uri):
            self.files.delete_dir_contents(self.root, missing_dir_ok=True)


@contextmanager
def storage_errors(uri: str) -> Iterator[None]:
    """Turn what storage says when it refuses, or is away, into one line."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # Arrow's errors are such
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CommentwiseError(
            f"{uri} cannot be used ({reason[:300]}): check the name, the address and the credentials"
        ) from None


def parquet_files(names: Sequence[str]) -> list[str]:
    """The Parquet files that are named, or lie in the folders that are named."""
    found = []
    for name in names:
        store = Store(name)
        inside = (
            [f"{name.rstrip('/')}/{file}" for file in store.names() if file.endswith(".parquet")]
            if store.is_folder()
            else [name]
        )
        if not inside or not all(file.lower().endswith(".parquet") for file in inside):
            raise CommentwiseError(f"{name} is no Parquet file, nor a folder of such: --engine ray reads nothing else")
        found += inside
    return found


@contextmanager
def opened(uri: str) -> Iterator[Any]:
    """A Parquet file, open. Raises CommentwiseError when it cannot be read."""
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
        raise CommentwiseError(f"there is no file {uri}") from None
