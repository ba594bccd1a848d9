"""Show MLflow's pages: every run with its parameters, curves and artifacts, and the registered versions.

  commentwise ui                # until Ctrl-C

Prints the address that opens on the runs. Where MLFLOW_TRACKING_URI names a server, that address is on it.
"""

import argparse
import os
import sys

import mlflow

from commentwise.errors import run_command
from commentwise.training.project import Project
from commentwise.training.registry.problems import without_password
from commentwise.training.registry.tracking import EXPERIMENT, connect

HOST = "127.0.0.1"


def main() -> None:
    """Print the address, and become the server of the project's store unless there is a server."""
    parser = argparse.ArgumentParser(
        prog="commentwise ui", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=5000, help="port on this machine (default: %(default)s)")
    port = parser.parse_args().port
    experiment = connect(Project()).get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    store = mlflow.get_tracking_uri()
    served = store.startswith(("http:", "https:"))
    base = without_password(store).rstrip("/") if served else f"http://{HOST}:{port}"
    print(f"ui: {base}/#/experiments/{experiment.experiment_id}/runs", flush=True)
    if not served:
        server = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store, "--host", HOST]
        # One user needs one worker, and each takes seconds to start.
        os.execv(sys.executable, [*server, "--port", str(port), "--workers", "1"])


if __name__ == "__main__":
    run_command(main)
