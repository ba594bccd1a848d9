"""Look at production: once, or again and again. Writes the report, tells people, and may start the retraining.

python -m commentwise.monitoring.actions.watch
python -m commentwise.monitoring.actions.watch --every 3600
python -m commentwise.monitoring.actions.watch --every 3600 --retrain
"""

import sys
import time

from pydantic import Field

from commentwise.errors import CommentwiseError, run_command
from commentwise.monitoring.actions.alerts import AlertSettings, tell
from commentwise.monitoring.actions.process import run
from commentwise.monitoring.report import page as report
from commentwise.monitoring.settings import PREFIX, read
from commentwise.monitoring.signals.analysis import analyse


class WatchCommand(AlertSettings):
    """Watch."""

    every: float = Field(default=0, ge=0, description="seconds between two looks; 0: look once")
    record: bool = Field(default=False, description="write the findings to MLflow too")
    retrain: bool = Field(
        default=False,
        description="start `python -m commentwise.monitoring.actions.retrain` on an alert; its gate decides",
    )
    fail_on_alert: bool = Field(default=False, description="exit with 1 on an alert, for scheduled jobs")


def main() -> None:
    """Look once, or until Ctrl-C; what goes wrong in one look is said and does not end the watch."""
    settings = read(WatchCommand, "watch")
    while True:
        start = time.monotonic()
        try:
            look(settings)
        except (CommentwiseError, OSError) as error:  # OSError: a full disk, which may have room the next time
            if not settings.every:
                raise
            print(f"error: {error}", file=sys.stderr, flush=True)
        if not settings.every:
            return
        time.sleep(max(0.0, settings.every - (time.monotonic() - start)))


def look(settings: WatchCommand) -> None:
    """One look."""
    analysis = analyse(settings)
    report.write(analysis, settings)
    print(f"watch: {analysis.severity}: {analysis.summary}", flush=True)
    if settings.record:
        from commentwise.monitoring.report.record import record

        record(analysis, settings.out)
    try:
        for channel in tell(analysis, settings):
            print(f"watch: told by {channel}", flush=True)
    finally:  # a mail server that is away is no reason to wait
        if analysis.severity == "alert" and settings.retrain and not settings.dry_run:
            retrain(settings, analysis.summary)
    if analysis.severity == "alert" and settings.fail_on_alert:
        raise CommentwiseError(f"the comments have changed: {analysis.summary}")


def retrain(settings: WatchCommand, why: str) -> None:
    """Start the retraining, which says itself what came of it. Raises CommentwiseError when it fails."""
    # The log's URL is no argument, since it may hold a password.
    log = {f"{PREFIX}PREDICTION_LOG": settings.prediction_log}
    run("commentwise.monitoring.actions.retrain", "--reference", str(settings.reference), "--why", why, **log)


if __name__ == "__main__":
    run_command(main)
