"""The server's settings: one class, read from flags and the environment."""

import reprlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict, SettingsError

from commentwise.errors import CommentwiseError
from commentwise.serving.http.access import parse_keys

PREFIX = "COMMENTWISE_"
LOOPBACK: Literal["127.0.0.1"] = "127.0.0.1"


class Settings(BaseSettings):
    """Serve a bundle over HTTP. Every flag can be set in the environment: COMMENTWISE_MAX_BATCH for --max-batch."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,  # compose files pass on unset variables as empty ones
        frozen=True,
        cli_prog_name="commentwise serve",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_exit_on_error=False,
    )

    model: str = Field(
        default="artifacts/bundle",
        description="folder of the bundle, or models:/NAME@ALIAS in an MLflow registry (needs mlflow)",
    )
    host: Literal["127.0.0.1", "0.0.0.0", "::"] = Field(
        default=LOOPBACK, description="address to listen on; 0.0.0.0 and :: let other machines in, and need API keys"
    )
    port: int = Field(default=8000, ge=1024, le=65535, description="port to listen on")
    tls_cert: Path | None = Field(
        default=None, description="certificate chain (PEM); together with --tls-key it enables HTTPS"
    )
    tls_key: Path | None = Field(default=None, description="private key (PEM) of --tls-cert")

    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto",
        description="device of the model; auto is cuda where both ONNX Runtime and the bundle support it",
    )
    workers: int = Field(
        default=0,
        ge=0,
        description="inference processes (on cuda: per GPU); 0: on the CPU one per 8 cores, at least 2; on cuda 1",
    )
    threads: int = Field(
        default=0,
        ge=0,
        description="comments a worker classifies at once on the CPU; 0: the cores, divided among the workers",
    )
    gpus: int = Field(default=1, ge=1, description="GPUs to use with cuda")
    batch_tokens: int = Field(
        default=0,
        ge=0,
        description="maximum tokens of a batch, including padding; 0: one comment per call on the CPU, 16384 on cuda",
    )
    cascade: bool = Field(
        default=False,
        description="on the CPU, let the linear model answer the comments it is sure of, where the bundle has a cascade",
    )
    cache: int = Field(
        default=10_000, ge=0, description="maximum number of answers kept for repeated comments; 0: none"
    )

    max_queue: int = Field(
        default=512,
        ge=1,
        description="maximum comments in the queue; further ones get 429, as do those that would wait half of their time",
    )
    max_batch: int = Field(default=256, ge=1, description="maximum texts in one request")
    max_characters: int = Field(default=20_000, ge=1, description="maximum characters of a text")
    max_body: int = Field(default=2_000_000, ge=1, description="maximum bytes of a request body")
    timeout: float = Field(
        default=10,
        gt=0,
        description="maximum seconds for a request; a client sets less with the header Request-Timeout",
    )
    truncate: bool = Field(
        default=True,
        description="truncate texts with more tokens than the model takes, unless the request says otherwise",
    )
    unsure_below: float = Field(
        default=0, ge=0, le=1, description="answers of /analyze with less confidence are marked as unsure"
    )

    api_keys: str = Field(
        default="",
        description="NAME:SHA256 entries, separated by spaces, as `commentwise keys NAME` prints them",
    )
    api_keys_file: Path | None = Field(default=None, description="file with one such entry per line")
    allow_anonymous: bool = Field(default=False, description="listen to other machines without API keys")
    open_health: bool = Field(default=True, description="answer health checks without an API key")
    open_metrics: bool = Field(default=False, description="answer /metrics without an API key")
    rate_limit: float = Field(
        default=0, ge=0, description="requests per second of one API key, or of one address without keys; 0: no limit"
    )
    cors_origins: str = Field(
        default="", description="origins whose pages may send requests, separated by spaces, e.g. chrome-extension://ID"
    )

    poll: float = Field(
        default=0, ge=0, description="seconds between two checks for a new version of --model; 0: no checks"
    )
    allow_label_change: bool = Field(
        default=False,
        description="swap to a bundle with other labels, or the same in another order; else it is refused",
    )
    shadow: str = Field(
        default="", description="a second bundle that also classifies, for comparison only; named like --model"
    )
    shadow_share: float = Field(default=0.1, gt=0, le=1, description="share of the comments that --shadow also gets")
    prediction_log: str = Field(
        default="",
        description="database that answers and feedback are logged to: sqlite:///FILE or postgresql+psycopg://… (needs the extra log)",
    )
    log_text: bool = Field(
        default=False, description="log the comments' texts as well, not only their hashes and signals"
    )
    drain_delay: float = Field(
        default=0, ge=0, description="at shutdown, seconds between the end of readiness and the end of listening"
    )
    drain_timeout: float = Field(default=10, gt=0, description="at shutdown, maximum seconds for running requests")
    log_level: Literal["info", "warning"] = Field(
        default="info", description="info writes one JSON line per request to standard error, never with text"
    )
    otlp_endpoint: str = Field(
        default="", description="OpenTelemetry collector for traces, e.g. http://localhost:4318 (needs the extra otel)"
    )

    @property
    def origins(self) -> list[str]:
        """The origins of --cors-origins."""
        return self.cors_origins.split()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.max_batch > self.max_queue:
            raise ValueError(
                f"--max-batch {self.max_batch} is more than --max-queue {self.max_queue}: such a request would never fit the queue; raise --max-queue"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key go together: give both")
        for path in filter(None, (self.tls_cert, self.tls_key, self.api_keys_file)):
            if not path.is_file():
                raise ValueError(f"there is no file {path}")
        if "*" in self.cors_origins:
            raise ValueError("--cors-origins takes no '*': name each origin")
        if self.host != LOOPBACK and not self.key_entries() and not self.allow_anonymous:
            raise ValueError(
                f"--host {self.host} lets other machines in: give --api-keys or --api-keys-file, or --allow-anonymous"
            )
        parse_keys(self.key_entries())
        return self

    def key_entries(self) -> list[str]:
        """The entries of --api-keys and --api-keys-file; lines that start with # are comments."""
        lines = [] if self.api_keys_file is None else self.api_keys_file.read_text(encoding="utf-8").splitlines()
        return [*self.api_keys.split(), *(line.strip() for line in lines if line.strip() and not line.startswith("#"))]


def read_settings(arguments: Sequence[str]) -> Settings:
    """Read the settings from command-line arguments, then the environment, then the defaults.

    With `--help` it prints the help and exits. Raises CommentwiseError naming every flag that is unknown or out of range.
    """
    try:
        return CliApp.run(Settings, cli_args=list(arguments))
    except SettingsError as error:
        reason = str(error).removeprefix("error parsing CLI: ")
        raise CommentwiseError(f"{reason}; see `commentwise serve --help`") from None
    except ValidationError as error:
        problems = [
            f"{_flag(str(entry['loc'][0]))} is {reprlib.repr(entry['input'])}: {entry['msg'].lower()}"
            if entry["loc"]
            else entry["msg"].removeprefix("Value error, ")
            for entry in error.errors()
        ]
        raise CommentwiseError("; ".join(problems)) from None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')} (or {PREFIX}{name.upper()})"


def reference() -> str:
    """Return every setting as a Markdown table, for docs/serving.md."""
    lines = ["| flag | variable | default | what it sets |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"`{field.default}`"
        lines.append(f"| `--{name.replace('_', '-')}` | `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
