"""Clients that leave the queue for inference, and those behind them."""

from __future__ import annotations

from functools import partial

import pytest

from deepseek_async.simulator import Reply
from deepseek_async.simulator.queueing import Slots

from .conftest import Start
from .loopback import Client, RawConnection, chat, until


def test_who_leaves_the_queue_doesnt_free_the_slot_of_another() -> None:
    slots = Slots(1)
    slots.take(0.0, 10.0)
    waiting = slots.take(0.0, 10.0)
    slots.leave(waiting, 1.0)
    assert slots.next_free(1.0) == 10.0


def test_those_behind_move_up_in_their_order() -> None:
    slots = Slots(2)
    first, _ = slots.take(0.0, 10.0), slots.take(0.0, 20.0)
    third, fourth = slots.take(0.0, 5.0), slots.take(0.0, 5.0)
    told: list[float] = []
    fourth.on_earlier.append(told.append)
    assert (third.begins, fourth.begins) == (10.0, 15.0)
    slots.leave(first, 2.0)
    assert (third.begins, fourth.begins, told) == (2.0, 7.0, [8.0])
    assert slots.next_free(3.0) == 12.0
    # What is over, and who has left already, moves nobody.
    slots.leave(first, 3.0)
    slots.leave(third, 7.0)
    assert (fourth.begins, told) == (7.0, [8.0])


def are_left(client: Client, count: int) -> bool:
    return client.sim.metrics.in_flight <= count


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("keep_alive_seconds", [5.0, 1e9])
async def test_a_client_that_leaves_lets_the_next_one_begin(
    start: Start, stream: bool, keep_alive_seconds: float
) -> None:
    client = await start(capacity=1, keep_alive_seconds=keep_alive_seconds)
    client.sim.script(
        Reply("first", first_token_seconds=300),
        Reply("second", first_token_seconds=300),
        Reply("third"),
    )
    connections: list[RawConnection] = []
    for _ in range(2):
        connections.append(await RawConnection.open(client.sim, chat(stream=True)))
        await connections[-1].head()
    third = await RawConnection.open(client.sim, chat(stream=stream))
    await third.head()
    # One that waits, then the one that was being answered.
    for left, connection in zip((2, 1), reversed(connections), strict=True):
        await connection.close()
        await until(partial(are_left, client, left))
    assert b"third" in b"".join(await third.chunks())
    await third.close()
