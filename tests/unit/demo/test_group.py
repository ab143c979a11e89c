import asyncio
import socket

import pytest

from tests.helpers.ports import free_port
from vllmd.demo.args import parse_args
from vllmd.demo.group import GroupArgs, Head, HeadError, join

TENSOR = ["--nnodes", "2", "--master-addr", "10.0.0.1", "--master-port", "7", "--node-rank"]
DATA = ["--data-parallel-size", "4", "--data-parallel-size-local", "2"]
DATA += ["--data-parallel-address", "10.0.0.1", "--data-parallel-rpc-port", "7"]


def test_parse_args_have_the_place_in_the_group() -> None:
    found = parse_args(["serve", "m", *TENSOR, "1", "--headless"]).group
    assert found == GroupArgs(True, 2, 1, "10.0.0.1", 7)
    found = parse_args(["serve", "m", *DATA, "--data-parallel-start-rank", "2"]).group
    assert found == GroupArgs(False, 2, 1, "10.0.0.1", 7, 2)
    for ranks in (1, 2):
        alone = parse_args(["serve", "m", "--data-parallel-size", str(ranks)])
        assert (alone.group, alone.data_ranks) == (None, ranks), "all ranks are here by default"


async def joined(head: Head, args: GroupArgs) -> None:
    gathering = asyncio.ensure_future(head.gather())
    assert await join(args, 5)
    await gathering


def part(*, tensor: bool, part: int, port: int, parts: int = 2) -> GroupArgs:
    return GroupArgs(tensor, parts, part, "127.0.0.1", port)


@pytest.mark.parametrize("tensor", [True, False])
async def test_head_serves_when_all_have_joined(tensor: bool) -> None:
    port = free_port()
    head = Head(part(tensor=tensor, part=0, port=port))
    await joined(head, part(tensor=tensor, part=1, port=port))
    assert await head.admit(None) is None


@pytest.mark.parametrize("tensor", [True, False])
async def test_requests_at_once_are_all_computed(tensor: bool) -> None:
    port = free_port()
    head = Head(part(tensor=tensor, part=0, port=port))
    await joined(head, part(tensor=tensor, part=1, port=port))
    asked = [head.admit(None if tensor else 1) for _ in range(20)]
    assert await asyncio.wait_for(asyncio.gather(*asked), 10) == [None] * 20


async def test_tensor_parallel_step_waits_for_a_part_that_is_silent_and_ends_with_one() -> None:
    port = free_port()
    head = Head(part(tensor=True, part=0, port=port))
    gathering = asyncio.ensure_future(head.gather())
    await asyncio.sleep(0.1)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"1\n")
    await gathering
    step = asyncio.ensure_future(head.admit(None))
    await asyncio.sleep(0.1)
    assert not step.done()
    writer.close()
    assert "127.0.0.1" in str(await asyncio.wait_for(step, 10))


async def test_head_that_loads_dies_of_a_member_that_comes_twice() -> None:
    port = free_port()
    head = Head(part(tensor=False, part=0, port=port, parts=3))
    gathering = asyncio.ensure_future(head.gather())
    twice = [
        asyncio.ensure_future(join(part(tensor=False, part=1, port=port, parts=3), 5))
        for _ in range(2)
    ]
    with pytest.raises(HeadError, match="Unexpected HELLO message for remote engine 1"):
        await gathering
    for each in twice:
        each.cancel()


async def test_member_that_nobody_answers_gives_up_data_parallel_only() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not await join(part(tensor=False, part=1, port=port), 0.01)
