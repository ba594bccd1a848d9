"""The command line of `commentwise score`."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from commentwise.comments.files import FORMATS, STANDARD_STREAM, Options
from commentwise.comments.formats.dialect import QUOTES
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Manifest
from commentwise.models.engine import available_device
from commentwise.serving.batch.outputs import partial_folder
from commentwise.serving.batch.writers import TEXT_FORMATS


class _Parser(argparse.ArgumentParser):
    """A parser that reports errors in the form of all others."""

    def error(self, message: str) -> NoReturn:
        raise CommentwiseError(f"{message}; see `{self.prog} --help`")


def parser(description: str) -> argparse.ArgumentParser:
    """The parser of the command."""
    result = _Parser(
        prog="commentwise score",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("inputs", nargs="+", metavar="IN", help="a file of comments, or - for standard input")
    add("-o", "--output", required=True, metavar="OUT", help="the file to write, or - for standard output")
    add("--column", default="text", help="the column with the comments (default: %(default)s)")
    add("--model", default="artifacts/bundle", help="the folder of the bundle, or models:/NAME@ALIAS or models:/NAME/3 in an MLflow registry (default: %(default)s)")  # fmt: skip
    add(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="the device of the model (default: %(default)s)",
    )
    add("--cascade", action="store_true", help="use the bundle's cascade on the CPU, if it has one: a linear model answers confident comments")  # fmt: skip
    add("--format", choices=FORMATS, help="the format of the inputs (default: by their names and contents)")
    add("--encoding", help="the encoding of text without a byte-order mark, e.g. cp1252 (default: utf-8)")
    add(
        "--delimiter",
        metavar="CHARACTER",
        help="what separates the cells of CSV, e.g. ';' or '\\t' (default: detected)",
    )
    add(
        "--quotes",
        choices=QUOTES,
        help="how a quote in a cell of CSV is written (default: doubled; refused where it may be backslash)",
    )
    add("--columns", metavar="NAME,…", help="the names of the columns of CSV without a header")
    add("--rename", action="append", default=[], metavar="OLD=NEW", help="give a column of the inputs another name, e.g. label=label_before; repeatable")  # fmt: skip
    add("--output-format", choices=TEXT_FORMATS, help="the format of an output without a known ending")
    add("--bom", action="store_true", help="start a CSV output with a byte-order mark, by which spreadsheets recognise UTF-8")  # fmt: skip
    add(
        "--rejects",
        type=Path,
        metavar="FILE",
        help="the file for rows that cannot be scored (default: OUT.rejects.jsonl)",
    )
    add(
        "--overwrite",
        action="store_true",
        help="replace OUT when the new output is complete, or, with --engine ray, at the start",
    )
    add("--engine", choices=("local", "ray"), default="local", help="ray: score on a cluster; IN and OUT are Parquet files or folders, also s3://BUCKET/PATH (default: %(default)s)")  # fmt: skip
    add("--ray-address", metavar="HOST:PORT", help="the Ray cluster (default: RAY_ADDRESS, or else a cluster on this machine)")  # fmt: skip
    add("--restart", action="store_true", help="discard the results of an unfinished run instead of continuing it")
    return result


def reading_options(arguments: argparse.Namespace) -> Options:
    """How the inputs are read. Raises CommentwiseError if the delimiter is not one character."""
    delimiter = arguments.delimiter and arguments.delimiter.replace("\\t", "\t")
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        raise CommentwiseError(f"--delimiter is {delimiter!r}: name one character")
    columns = arguments.columns and tuple(name.strip() for name in arguments.columns.split(","))
    return Options(arguments.format, arguments.encoding, delimiter, arguments.quotes, columns)


def new_names(pairs: Sequence[str]) -> dict[str, str]:
    """New names of columns by their old ones. Raises CommentwiseError for pairs in another form."""
    names = dict(pair.partition("=")[::2] for pair in pairs)
    if not all(old and new for old, new in names.items()):
        raise CommentwiseError(f"--rename is {' '.join(pairs)!r}: write OLD=NEW, e.g. label=label_before")
    return names


def options_work(arguments: argparse.Namespace) -> dict[str, str]:
    """The options on which the output depends, by names for messages. Left out where they are not given."""
    settings = {f"--{name}": getattr(arguments, name) for name in ("encoding", "delimiter", "quotes", "columns")}
    settings["--rename"] = " ".join(arguments.rename)
    settings["--bom"] = "given" if arguments.bom else ""
    return {name: value for name, value in settings.items() if value}


def default_rejects(output: str) -> Path:
    """The reject file of an output."""
    return Path("rejects.jsonl" if output == STANDARD_STREAM else f"{output}.rejects.jsonl")


def check_paths(inputs: Sequence[str], output: str, rejects: Path, overwrite: bool) -> None:
    """Raise CommentwiseError if a file is used twice or would be overwritten."""
    if STANDARD_STREAM in inputs and len(inputs) > 1:
        raise CommentwiseError("- (standard input) must be the only input: score the files with another command")
    out = Path(output)
    used = [*(Path(name).resolve() for name in inputs), rejects.resolve(), out.resolve()]
    for path in (out, rejects):
        if output == STANDARD_STREAM and path == out:
            continue
        if used.count(path.resolve()) > 1:
            raise CommentwiseError(f"{path} is named twice, for input, output or rejects: name another file")
        if path.exists() and not path.is_file():  # a folder, or a device such as /dev/null
            raise CommentwiseError(f"{path} is not a regular file: name another")
        # A run that was killed at its very end has already written the reject file.
        if path.exists() and not overwrite and (path == out or not partial_folder(out).exists()):
            raise CommentwiseError(f"{path} exists: name another file, or replace it with --overwrite")


def device_of(device: str, manifest: Manifest) -> str:
    """The device to use: the one named, or for `auto` the best available one for which the bundle has a graph."""
    if device != "auto":
        return device
    available = available_device()
    return available if available in manifest.devices else "cpu"
