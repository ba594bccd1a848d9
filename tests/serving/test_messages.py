"""The messages between processes, and the connections that carry them."""

import asyncio
import socket
from multiprocessing.connection import Connection
from typing import get_args

import pytest

from commentwise.serving.runtime.channel import Channel, Link
from commentwise.serving.runtime.messages import (
    Done,
    EntriesWritten,
    Joined,
    Loaded,
    LoadFailed,
    Message,
    OpenLog,
    RetireWorkers,
    StartWorkers,
    Stop,
    Work,
    WriteEntries,
    decode,
    encode,
)

MESSAGES: list[Message] = [
    Work(7, 12.5, [[101, 30_000, 102], []], ["schön", ""]),
    Done(7, [[0.1, -2.5], "the model failed"], ["de", ""], 0.003),
    Done(8, None, [], 0.0),
    Joined(1, 4321),
    Loaded(),
    LoadFailed(2, "no bundle at ümlaut"),
    StartWorkers(2, "/bundles/next", "ab" * 32),
    RetireWorkers(1),
    Stop(),
    OpenLog("sqlite:///log.db", True),
    WriteEntries([("id", 1.5, None, ["a", "b"], False)]),
    EntriesWritten(500),
]


def test_every_kind_of_message_is_tested() -> None:
    assert {type(message) for message in MESSAGES} == set(get_args(Message))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_message_arrives_as_it_was_sent(message: Message) -> None:
    received = decode(encode(message))
    assert (type(received), received) == (type(message), message)


def test_channels_and_links_read_each_other() -> None:
    """A link receives bytes in chunks of any size; a long message takes several."""
    long = Work(9, 1.0, [list(range(50_000))], [""])

    async def run() -> tuple[list[Message], list[Message]]:
        ours, theirs = socket.socketpair()
        received: list[Message] = []
        lost = asyncio.Event()
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(lambda _, message: received.append(message), lambda _: lost.set()), sock=ours
        )
        channel = Channel(Connection(theirs.detach()))

        def talk() -> list[Message]:
            for message in (*MESSAGES, long):
                channel.send(message)
            answers = [channel.receive() for _ in (*MESSAGES, long)]
            channel.close()
            return answers

        for message in (*MESSAGES, long):
            link.send(message)
        answers = await asyncio.to_thread(talk)
        await lost.wait()
        return received, answers

    received, answers = asyncio.run(run())
    assert received == answers == [*MESSAGES, long]


def test_message_in_pieces_is_handled_once_it_is_complete() -> None:
    received: list[Message] = []
    link = Link(lambda _, message: received.append(message), lambda _: None)
    data = b"".join(len(encode(message)).to_bytes(4, "big") + encode(message) for message in MESSAGES)
    for index in range(len(data)):
        link.data_received(data[index : index + 1])
    assert received == MESSAGES


def test_closed_channel_ends_the_other_end() -> None:
    ours, theirs = Channel.pair()
    theirs.send(Joined(1, 2))
    theirs.close()
    assert ours.has_message()
    assert ours.receive() == Joined(1, 2)
    with pytest.raises(EOFError):
        ours.receive()
    with pytest.raises(BrokenPipeError):
        ours.send(Stop())
