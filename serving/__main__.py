"""Serve a bundle over HTTP: `python -m serving --model artifacts/bundle --port 8000`."""

import sys

from models.errors import run_command
from serving.settings import read_settings


def main() -> None:
    """Serve until told to stop."""
    settings = read_settings(sys.argv[1:])
    from serving.server import serve  # takes a second: `--help` and a wrong flag need not wait for it

    serve(settings)


if __name__ == "__main__":
    run_command(main)
