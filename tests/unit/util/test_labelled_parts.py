import subprocess
import sys

from vllmd.util.labelled_parts import COLUMN, items, wrapped

PARTS = {
    "what": "chat failed.",
    "why": "",
    "evidence": ["one", "", "two"],
    "done": "",
    "next": ["word " * 30],
    "more": [],
    "engine": "chat",
}


def test_items_are_those_that_are_not_empty_in_the_order_of_their_labels() -> None:
    assert list(items(PARTS))[:3] == [
        ("What", "chat failed."),
        ("Evidence", "one"),
        ("Evidence", "two"),
    ]


def test_wrapped_has_a_label_once_and_its_items_below_each_other() -> None:
    lines = wrapped(PARTS, 40).splitlines()
    assert lines[:3] == ["What      chat failed.", "Evidence  one", " " * COLUMN + "two"]
    assert max(map(len, lines)) <= 40


def test_it_needs_no_classes() -> None:
    program = "import sys, vllmd.util.labelled_parts; print('attr' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program]) == b"False\n"
