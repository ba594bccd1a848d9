"""Watch production, once or repeatedly: write the report, send alerts, and start the retraining if asked to.

commentwise watch
commentwise watch --every 3600
commentwise watch --every 3600 --retrain
"""

import sys
import time
import traceback

from pydantic import Field

from commentwise.errors import CommentwiseError, run_command
from commentwise.monitoring.actions.alerts import AlertSettings, notify
from commentwise.monitoring.project import MonitoredProject
from commentwise.monitoring.report import page
from commentwise.monitoring.settings import read
from commentwise.monitoring.signals.analysis import analyse


class WatchCommand(AlertSettings):
    """Analyse the prediction log, write the report and send alerts."""

    every: float = Field(default=0, ge=0, description="seconds between two runs; 0: run once")
    record: bool = Field(default=False, description="also log the findings to MLflow")
    retrain: bool = Field(
        default=False, description="retrain on an alert, like `commentwise retrain`; its gate decides"
    )
    fail_on_alert: bool = Field(default=False, description="exit with 1 on an alert, for scheduled jobs")


def main() -> None:
    """Run once, or until Ctrl-C. A failed run is reported and does not end the watch."""
    settings = read(WatchCommand, "watch")
    while True:
        start = time.monotonic()
        try:
            look(settings)
        except Exception as error:
            if not settings.every:
                raise
            if not isinstance(error, (CommentwiseError, OSError)):  # OSError: a full disk, which may be freed
                traceback.print_exc()
            print(f"error: {error}", file=sys.stderr, flush=True)
        if not settings.every:
            return
        time.sleep(max(0.0, settings.every - (time.monotonic() - start)))


def look(settings: WatchCommand) -> None:
    """Analyse once, and act on the findings."""
    analysis = analyse(settings)
    page.write(analysis, settings)
    print(f"watch: {analysis.severity}: {analysis.summary}", flush=True)
    if settings.record:
        from commentwise.monitoring.report.mlflow_record import record

        record(MonitoredProject(), analysis, settings.out)
    try:
        for channel in notify(analysis, settings):
            print(f"watch: sent an alert by {channel}", flush=True)
    finally:  # a failed delivery does not hold up the retraining
        if analysis.severity == "alert" and settings.retrain and not settings.dry_run:
            start_retraining(settings, analysis.summary)
    if analysis.severity == "alert" and settings.fail_on_alert:
        raise CommentwiseError(f"the comments have changed: {analysis.summary}")


def start_retraining(settings: WatchCommand, why: str) -> None:
    """Retrain, with the remaining settings from the environment. Raises CommentwiseError when it fails."""
    # Imported here: it needs the extra `train`, which watching does not.
    from commentwise.monitoring.actions.retrain import RetrainCommand, retrain

    flags = {"prediction-log": settings.prediction_log, "reference": settings.reference, "why": why}
    retrain(read(RetrainCommand, "retrain", [f"--{name}={value}" for name, value in flags.items()]), MonitoredProject())


if __name__ == "__main__":
    run_command(main)
