"""The server's settings: one class, read from flags and the environment."""

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from models.errors import CommentwiseError

PREFIX = "COMMENTWISE_"


class Settings(BaseSettings):
    """Serve a bundle over HTTP. Every flag may stand in the environment: COMMENTWISE_MAX_BATCH for --max-batch."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # compose files pass variables on that nobody set
        frozen=True,
        cli_prog_name="python -m serving",
        cli_kebab_case=True,
        cli_exit_on_error=False,
    )

    model: Path = Field(default=Path("artifacts/bundle"), description="folder of the bundle")
    host: Literal["127.0.0.1", "0.0.0.0", "::"] = Field(
        default="127.0.0.1", description="address to listen on; 0.0.0.0 and :: let other machines in"
    )
    port: int = Field(default=8000, ge=1024, le=65535, description="port to listen on")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where the model runs; auto is cuda where ONNX Runtime and the bundle both offer it"
    )
    threads: int = Field(default=0, ge=0, description="comments classified at once on the CPU; 0 means one per core")
    max_batch: int = Field(default=256, ge=1, description="most texts in one request")
    max_characters: int = Field(default=20_000, ge=1, description="longest text, in characters")
    max_body: int = Field(default=2_000_000, ge=1, description="longest request body, in bytes")


def read_settings(arguments: Sequence[str]) -> Settings:
    """Read the settings from command-line arguments, then the environment, then the defaults.

    Exits after printing the help where `--help` asks for it. Raises CommentwiseError naming every flag that is unknown
    or out of range.
    """
    try:
        return CliApp.run(Settings, cli_args=list(arguments))
    except SettingsError as error:
        reason = str(error).removeprefix("error parsing CLI: ")
        raise CommentwiseError(f"{reason}; see `python -m serving --help`") from None
    except ValidationError as error:
        problems = [
            f"{_flag(str(entry['loc'][0]))} is {reprlib.repr(entry['input'])}: {entry['msg'].lower()}"
            for entry in error.errors()
        ]
        raise CommentwiseError("; ".join(problems)) from None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')} (or {PREFIX}{name.upper()})"
