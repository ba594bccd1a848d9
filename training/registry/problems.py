"""The reason why MLflow cannot be used, and the way out."""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from commentwise.errors import CommentwiseError, first_line

URI = "MLFLOW_TRACKING_URI"
USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
HOST = re.compile(r"[\w-]+(\.[\w-]+)*:\d+(/.*)?|[\w-]+(\.[\w-]+)+(/.*)?", re.ASCII)
WRONG_PASSWORD = re.compile("password authentication failed|Access denied|no password supplied", re.IGNORECASE)


def unusable(uri: str, error: MlflowException | SQLAlchemyError | ImportError) -> CommentwiseError:
    """The error to show after `error` of MLflow or of its database, for the tracking store at `uri`."""
    store, reason = f"MLflow at {without_password(uri)}", first_line(error)
    scheme = urlsplit(uri).scheme if "://" in uri else ""
    if uri.endswith(".db") and not scheme:
        return CommentwiseError(f"{URI} = {uri!r} has no scheme: for a database write sqlite:///{uri}")
    if HOST.fullmatch(uri) and not Path(uri).exists():
        return CommentwiseError(f"{URI} = {uri!r} has no scheme: for a server write http://{uri} or https://{uri}")
    if "filesystem tracking backend" in reason:
        return CommentwiseError(
            f"{URI} = {uri!r} is a folder, and MLflow no longer supports its file store: use sqlite:///mlflow.db "
            "(`mlflow migrate-filestore` moves old runs), or the address of a server"
        )
    if "unsupported URI" in reason:
        return CommentwiseError(
            f"{URI} = {without_password(uri)!r} has the unknown scheme {scheme!r}: write an address that begins with http://, https:// or sqlite:///"
        )
    if WRONG_PASSWORD.search(str(error)):
        return CommentwiseError(f"{store} refuses the user or password in {URI} ({reason}): correct them")
    status = error.get_http_status_code() if isinstance(error, MlflowException) else None
    if status == 401 and os.environ.get(USER):
        return CommentwiseError(
            f"{store} refuses the user {os.environ[USER]!r} or its password: correct {USER} and {PASSWORD}"
        )
    if status == 401:
        return CommentwiseError(f"{store} refuses requests without a password: set {USER} and {PASSWORD}")
    if status == 403:
        return CommentwiseError(
            f"{store} refuses the user {os.environ.get(USER, '')!r} ({reason}): ask for permission, or set {USER}"
        )
    if "out-of-date database schema" in reason:
        return CommentwiseError(
            f"{store} was written by another version of MLflow: back it up and run `mlflow db upgrade {without_password(uri)}`"
        )
    if isinstance(error, ImportError):
        return CommentwiseError(
            f"{store} needs a driver that is not installed ({reason}): install it, or correct {URI}"
        )
    return CommentwiseError(f"{store} does not answer ({reason}): start it, or correct {URI}")


def deleted(uri: str, experiment: str, identifier: str) -> CommentwiseError:
    """The error to show when the experiment of this name was deleted, which MLflow keeps until `mlflow gc`."""
    return CommentwiseError(
        f"the experiment {experiment!r} of MLflow at {without_password(uri)} was deleted: restore it with "
        f"`{URI}={without_password(uri)} mlflow experiments restore --experiment-id {identifier}`, or delete it for good with `mlflow gc`"
    )


def without_password(uri: str) -> str:
    """The address without the user and password in it."""
    scheme, separator, rest = uri.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"
