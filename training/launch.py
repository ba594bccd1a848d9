"""Starting the training of a family with `accelerate launch`, and ending it together with this process."""

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import psutil

CONFIG = "accelerate_config.yaml"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def launch(root: Path, module: str, *arguments: str) -> int:
    """Run `accelerate launch -m module` in the project's folder; return its exit status.

    Signals are passed on to the training, which saves its state and says how to continue; this process then ends with
    128 + the signal's number. Raises KeyboardInterrupt on Ctrl-C before the training has started.
    """
    # The launcher would print a traceback on Ctrl-C, which a terminal sends to all processes of a group.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--config_file", CONFIG, "-m", module]
    with subprocess.Popen([*command, *arguments], cwd=root, process_group=0) as launcher:
        received: list[int] = []

        def forward(number: int, frame: FrameType | None) -> None:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(launcher.pid)
                if training := process.children(recursive=True):
                    received.append(number)
                    for each in training:
                        each.send_signal(number)
                    return
                process.terminate()
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            sys.exit(128 + number)

        before = {number: signal.signal(number, forward) for number in SIGNALS}
        try:
            status = launcher.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    if received:
        sys.exit(128 + received[0])
    return status
