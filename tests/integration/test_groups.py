"""One model over several hosts: the stand-in in network namespaces, a vllmd on each."""

from pathlib import Path

import pytest

from tests.helpers.hosts import hosts


@pytest.mark.parametrize("mode", ["tensor", "data"])
def test_group_starts_and_a_dead_member_ends_its_generation(tmp_path: Path, mode: str) -> None:
    more = "flags.tensor-parallel-size = 2" if mode == "tensor" else ""
    with hosts(tmp_path, 2, mode, more=more) as made:
        made.serve()
        first, member = made.generation, made.members[0]
        assert made.head.ask() == 200
        assert member.get("/ready/big")[0] == 200
        member.kill_process("VLLM::EngineCore")
        made.serve(after=first)
        assert made.head.ask() == 200
        why = made.head.site.vllmd("why", "big").stdout
        assert member.address in why
