"""Serve a bundle over HTTP: `commentwise serve --model artifacts/bundle --port 8000`."""

import sys
from contextlib import suppress

from commentwise.errors import run_command
from commentwise.serving.settings import read_settings


def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = read_settings(sys.argv[1:])
    # The imports below take a second, which `--help` and a wrong flag need not wait for.
    from commentwise.serving.runtime.supervisor import end_on_signals, prepare_to_fork

    with suppress(KeyboardInterrupt):
        end_on_signals()
        prepare_to_fork()
        from commentwise.serving.http.server import serve

        serve(settings)


if __name__ == "__main__":
    run_command(main)
