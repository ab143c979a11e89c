"""One model over several hosts: the stand-in in network namespaces, a vllmd on each."""

import os
import signal
from pathlib import Path

import pytest

from tests.helpers.hosts import API, hosts


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


def test_group_data_parallel_a_rank_that_hangs_is_found_behind_a_green_head(
    tmp_path: Path,
) -> None:
    """Its host answers, its processes live, the head's page and /health are green."""
    with hosts(tmp_path, 2, "data", more="liveness = { hang_s = 4 }") as made:
        made.serve()
        first, member = made.generation, made.members[0]
        assert [made.head.ask(x_data_parallel_rank=str(rank)) for rank in (0, 1)] == [200, 200]
        os.kill(member.engine["pid"], signal.SIGSTOP)
        assert made.head.ask(2, x_data_parallel_rank="1") == 0
        assert made.head.get("/health", API)[0] == 200
        made.serve(after=first)
        assert made.head.ask(x_data_parallel_rank="1") == 200
        assert "rank 1 on 10.81.0.11 does nothing" in made.head.site.vllmd("why", "big").stdout
