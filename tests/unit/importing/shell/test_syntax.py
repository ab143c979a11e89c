"""The parts of a script are values: equal where they say the same."""

from vllmd.importing.shell.syntax import Block, Simple, Word


def test_blocks_of_the_same_commands_are_equal() -> None:
    one, other = (Block((Simple((), (Word("a", 1),), (), 1),), frozenset({0}), 1) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
