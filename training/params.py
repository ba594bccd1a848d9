"""Reading and writing params files as YAML 1.2, as DVC does.

In YAML 1.1, which PyYAML reads, the labels `no` and `yes` are booleans and `3e-5` is a text.
"""

import io
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError

from commentwise.errors import CommentwiseError
from commentwise.fileio import atomic_file


def read_params(path: Path) -> dict[str, Any]:
    """The params file as plain data. Raises CommentwiseError when it is missing or not valid YAML."""
    try:
        content = _yaml().load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommentwiseError(
            f"no {path.name} in {path.parent.resolve()}: run the command in the project's folder"
        ) from None
    # ValueError: an impossible date, or bytes that are not UTF-8
    except (YAMLError, ValueError) as error:
        raise CommentwiseError(f"{path} is not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise CommentwiseError(f"{path} has no settings: restore it with `git checkout {path}`")
    return content


def write_params(content: dict[str, Any], path: Path) -> None:
    """Write plain data as a params file, so that `read_params` returns it unchanged."""
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        _yaml().dump(content, stream)


def change_params(path: Path, values: dict[str, Any]) -> None:
    """Set keys of a params file, given as dotted names. Comments and order are kept."""
    yaml = editor()
    params = yaml.load(path.read_text(encoding="utf-8"))
    for name, value in values.items():
        section = params
        *parents, key = name.split(".")
        for parent in parents:
            section = section[parent]
        section[key] = _in_one_line(value) if isinstance(value, list) else value
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        yaml.dump(params, stream)


def _in_one_line(values: list[Any]) -> CommentedSeq:
    sequence = CommentedSeq(values)
    sequence.fa.set_flow_style()
    return sequence


def editor() -> YAML:
    """Reads and writes YAML with its comments and layout."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 4096, True
    yaml.representer.add_representer(
        type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def dumped(content: dict[str, Any]) -> str:
    """Plain data as YAML."""
    stream = io.StringIO()
    _yaml().dump(content, stream)
    return stream.getvalue()


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)  # libyaml reads YAML 1.1
    yaml.default_flow_style, yaml.allow_unicode, yaml.width = False, True, 4096
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    return yaml
