"""Training on two machines: two network namespaces, connected by a virtual cable, with gloo between them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.serving.process import ROOT
from tests.training.conftest import WORDS, write_parts

needs_machines = pytest.mark.skipif(
    (os.geteuid() != 0 or shutil.which("ip") is None) and "CI" not in os.environ,
    reason="network namespaces need root and ip: apt-get install iproute2",
)
PATIENCE = 300


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@pytest.fixture
def machines() -> Iterator[list[str]]:
    """The names of two network namespaces; the first has the address 10.99.0.1."""
    names = [f"cw{os.getpid()}-{number}" for number in range(2)]
    cables = [f"cw{os.getpid() % 10_000}v{number}" for number in range(2)]
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1])
        for number, (name, cable) in enumerate(zip(names, cables, strict=True)):
            ip("link", "set", cable, "netns", name, "name", "cable")
            ip("-n", name, "addr", "add", f"10.99.0.{number + 1}/24", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def train(checkpoint: Path, out: Path, *launcher: str, inside: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "accelerate.commands.launch", "--mixed_precision", "no", "--dynamo_backend", "no"]
    settings = (
        "--no-track",
        "--checkpoint",
        str(checkpoint),
        "--epochs",
        "1",
        "--dropout",
        "0",
        "--precision",
        "fp32",
        "--out",
        str(out),
    )
    return subprocess.Popen(
        [*inside, *command, *launcher, "-m", "commentwise.training.bert", *settings],
        env=os.environ | {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "cable"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> str:
    try:
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, output
    return output


@pytest.mark.slow
@needs_machines
def test_two_machines_give_the_weights_of_one(machines: list[str], work: Path, checkpoint: Path) -> None:
    write_parts(WORDS, train=60, held_out=30)
    finish(train(checkpoint, work / "one", "--num_processes", "1", "--num_machines", "1"))
    two = ("--multi_gpu", "--num_machines", "2", "--num_processes", "2", "--main_process_ip", "10.99.0.1")
    running = []
    for rank, name in enumerate(machines):
        options = (*two, "--main_process_port", "29500", "--machine_rank", str(rank))
        running.append(train(checkpoint, work / "two", *options, inside=("ip", "netns", "exec", name)))
    for process in running:
        finish(process)
    weights = [load_file(work / out / "model/model.safetensors") for out in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][name] - weights[1][name]).abs().max() < 1e-5 for name in weights[0])
