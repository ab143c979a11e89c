from hypothesis import given
from hypothesis import strategies as st

from vllmd.gpu.memory_shares import GpuMemory, Holder, Owner, shares

SIZES = st.none() | st.integers(0, 2**38)
HOLDERS = st.lists(
    st.builds(
        Holder,
        pid=st.integers(1, 4_000_000),
        bytes=SIZES,
        owner=st.sampled_from([Owner.ENGINE, Owner.ORPHAN, Owner.FOREIGN]),
        engine=st.sampled_from(["chat", "code", None]),
    ),
    max_size=20,
)


@given(
    HOLDERS, st.integers(0, 2**38), st.integers(0, 2**30), st.integers(0, 2**38), st.integers(0, 9)
)
def test_owners_add_up_to_the_total(
    holders: list[Holder], free: int, reserved: int, used: int, gap: int
) -> None:
    memory = GpuMemory(free + reserved + used + gap, reserved, free, used)
    assert sum(shares(memory, holders).values()) == memory.total


def test_each_engine_is_its_own_owner_and_figures_that_miss_are_not_attributed() -> None:
    found = shares(
        GpuMemory(total=100, reserved=5, free=35, used=60),
        [
            Holder(1, 20, Owner.ENGINE, "chat"),
            Holder(2, 10, Owner.ENGINE, "code"),
            Holder(3, 5, Owner.ENGINE, "chat"),
            Holder(4, 7, Owner.ORPHAN, "chat"),
            Holder(5, None, Owner.FOREIGN),
        ],
    )
    assert found == {
        (Owner.ENGINE, "chat"): 25,
        (Owner.ENGINE, "code"): 10,
        (Owner.ORPHAN, None): 7,
        (Owner.FOREIGN, None): 0,
        (Owner.RESERVED, None): 5,
        (Owner.UNATTRIBUTED, None): 18,
        (Owner.FREE, None): 35,
    }


def test_figures_that_overlap_leave_less_than_nothing_unattributed() -> None:
    found = shares(GpuMemory(100, 0, 90, 10), [Holder(1, 12, Owner.FOREIGN)])
    assert found[Owner.UNATTRIBUTED, None] == -2


def test_describe_names_a_process_that_cannot_be_seen() -> None:
    assert Holder(7, 1, Owner.FOREIGN).describe() == (
        "a process that cannot be seen from here (pid 7)"
    )


def test_shares_of_weights_are_beside_those_of_their_engine() -> None:
    memory = GpuMemory(total=100, reserved=0, free=30, used=70)
    holders = [Holder(1, 40, Owner.ENGINE, "a"), Holder(2, 30, Owner.WEIGHTS, "a")]
    found = shares(memory, holders)
    assert (found[Owner.ENGINE, "a"], found[Owner.WEIGHTS, "a"]) == (40, 30)
    assert sum(found.values()) == 100
