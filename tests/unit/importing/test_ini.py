"""Sections and keys with their lines."""

from vllmd.importing.ini import begins_with_section, settings_of


def test_settings_of_systemd_go_on_after_a_backslash() -> None:
    found = settings_of("# x\n[Service]\nA=1 \\\n  2\nA=3\n; c\n", "u")
    assert [(each.section, each.key, each.value, each.line) for each in found] == [
        ("Service", "A", "1    2", 3),
        ("Service", "A", "3", 5),
    ]


def test_settings_of_supervisord_go_on_in_lines_that_are_indented() -> None:
    found = settings_of(
        "[program:x]\ncommand = a ; why\nenvironment=\n  A=1,\n  B=2\n", "s", indented=True
    )
    assert [(each.key, each.value) for each in found] == [
        ("command", "a"),
        ("environment", "A=1,\nB=2"),
    ]


def test_files_of_sections_are_told_by_their_first_line() -> None:
    assert begins_with_section("# x\n\n; y\n [Unit] \nA=1\n")
    for text in ("#!/bin/sh\ncat <<E\n[Service]\nE\n", "[ -f x ] && y\n", "[[ a ]]\n", ""):
        assert not begins_with_section(text)
