"""Settings of the monitoring commands: read from flags, then the environment (COMMENTWISE_*), then the defaults."""

import reprlib
import sys
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from commentwise.errors import CommentwiseError
from commentwise.monitoring.project import MonitoredProject

PREFIX = "COMMENTWISE_"
BUNDLE_HELP = (
    "folder of the bundle in production, or models:/NAME@ALIAS (default: the champion; without one, artifacts/bundle)"
)


class Settings(BaseSettings):
    """The base of all commands' settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_exit_on_error=False,
    )


class LogSettings(Settings):
    """The location of the prediction log."""

    prediction_log: str = Field(
        default="sqlite:///predictions.db",
        description="the server's --prediction-log: sqlite:///FILE or postgresql+psycopg://…",
    )


class WindowSettings(LogSettings):
    """The predictions to analyse, and the reference to compare them with."""

    bundle: str | None = Field(default=None, description=BUNDLE_HELP)
    reference: Path = Field(default=MonitoredProject().reference, description="file that `commentwise reference` wrote")
    window: int = Field(default=100, ge=30, le=2000, description="comments per window")
    windows: int = Field(default=12, ge=1, le=500, description="maximum number of windows, the latest ones")
    out: Path = Field(default=MonitoredProject().monitoring, description="folder for the results")


Command = TypeVar("Command", bound=BaseSettings)


def read(command: type[Command], name: str, arguments: list[str] | None = None) -> Command:
    """Read the settings of `commentwise name`; prints the help and exits on `--help`.

    Raises CommentwiseError naming every flag that is unknown or out of range.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    command.model_config["cli_prog_name"] = f"commentwise {name}"
    try:
        return CliApp.run(command, cli_args=arguments)
    except SettingsError as error:
        message = str(error).removeprefix("error parsing CLI: ")
        raise CommentwiseError(f"{message}; see `commentwise {name} --help`") from None
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
