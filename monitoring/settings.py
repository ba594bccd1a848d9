"""Settings of the monitoring commands: read from flags, then the environment (COMMENTWISE_*), then the defaults."""

import reprlib
import sys
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from commentwise.errors import CommentwiseError

PREFIX = "COMMENTWISE_"
REFERENCE = Path("artifacts/monitoring/reference.json")


class Settings(BaseSettings):
    """How all commands read their settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_exit_on_error=False,
    )


class LogSettings(Settings):
    """Where the prediction log is."""

    prediction_log: str = Field(
        default="sqlite:///predictions.db",
        description="the server's --prediction-log: sqlite:///FILE or postgresql+psycopg://…",
    )


class WindowSettings(LogSettings):
    """Which predictions are looked at, and what they are compared with."""

    bundle: Path = Field(default=Path("artifacts/bundle"), description="folder of the bundle that answers")
    reference: Path = Field(
        default=REFERENCE, description="what `python -m commentwise.monitoring.signals.reference` made"
    )
    window: int = Field(default=100, ge=30, le=2000, description="comments per window")
    windows: int = Field(default=12, ge=1, le=500, description="windows to look at, the latest ones")
    out: Path = Field(default=Path("artifacts/monitoring"), description="folder for results")


Command = TypeVar("Command", bound=BaseSettings)


def read(command: type[Command], name: str, arguments: list[str] | None = None) -> Command:
    """Read a command's settings; exits after the help where `--help` asks for it.

    Raises CommentwiseError naming every flag that is unknown or out of range.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    command.model_config["cli_prog_name"] = f"python -m monitoring.{name}"
    try:
        return CliApp.run(command, cli_args=arguments)
    except SettingsError as error:
        message = str(error).removeprefix("error parsing CLI: ")
        raise CommentwiseError(f"{message}; see `python -m monitoring.{name} --help`") from None
    except ValidationError as error:
        problems = [
            f"{_flag(str(problem['loc'][0]))} is {reprlib.repr(problem['input'])}: {problem['msg'].lower()}"
            if problem["loc"]
            else problem["msg"].removeprefix("Value error, ")
            for problem in error.errors()
        ]
        raise CommentwiseError("; ".join(problems)) from None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')} (or {PREFIX}{name.upper()})"
