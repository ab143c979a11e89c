import pytest

from vllmd.lora.desired import AdapterSource, DesiredAdapter
from vllmd.lora.plan import Steps, another_name, steps


def want(path: str) -> DesiredAdapter:
    return DesiredAdapter(path, AdapterSource.FILE)


def test_steps_of_what_is_as_it_should_be_are_none() -> None:
    wanted = {"a": want("/a"), "b": want("/b/")}
    loaded = {"a": "/a/.", "b": "/b"}
    assert steps(wanted, loaded, ours=(), unload_unlisted=True) == Steps()


def test_steps_load_replace_and_unload() -> None:
    wanted = {"new": want("/new"), "moved": want("/there"), "again": want("/again")}
    loaded = {"moved": "/here", "again": "/again", "old": "/old"}
    done = steps(wanted, loaded, ours={"old"}, unload_unlisted=False, again={"again", "new"})
    assert done == Steps(load=("new",), replace=("moved", "again"), unload=("old",))


@pytest.mark.parametrize(("unload", "gone"), [(True, ("theirs",)), (False, ())])
def test_steps_unload_what_others_loaded_only_if_that_is_wanted(
    unload: bool, gone: tuple[str, ...]
) -> None:
    done = steps({}, {"theirs": "/x"}, ours=(), unload_unlisted=unload)
    assert done == Steps(unload=gone, unlisted=("theirs",))


def test_another_name_is_another_text_for_the_same_place() -> None:
    first = another_name("/srv/a", "/srv/a")
    second = another_name("/srv/a", first)
    assert (first, second) == ("/srv/a/.", "/srv/a/./.")
    assert another_name("/srv/a/", "/srv/a/") == "/srv/a/."
    assert another_name("/srv/b", "/srv/a") == "/srv/b/."
