"""Ports, volumes and variables."""

import pytest

from vllmd.importing.containers.options import assign, mount, publish, volume
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.unknown import Place, is_unknown

PLACE = Place("x", 1)


def spec() -> ContainerSpec:
    return ContainerSpec(image="x", place=PLACE)


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("8080:8000", {8000: ("", 8080)}),
        ("127.0.0.1:8080:8000/tcp", {8000: ("127.0.0.1", 8080)}),
        ("0.0.0.0:80:8000", {8000: ("", 80)}),
        ("[::1]:80:8000", {8000: ("::1", 80)}),
        ("8000-8001:9000-9001", {9000: ("", 8000), 9001: ("", 8001)}),
        ("53:53/udp", {}),
    ],
)
def test_ports(text: str, published: dict[int, tuple[str, int]]) -> None:
    one, notes = spec(), Notes()
    publish(text, one, notes, PLACE)
    assert (one.published, notes.problems) == (published, [])


@pytest.mark.parametrize("text", ["8000", "x", "127.0.0.1::8000"])
def test_port_that_is_not_known_is_refused(text: str) -> None:
    notes = Notes()
    publish(text, spec(), notes, PLACE)
    assert len(notes.problems) == 1


def test_volumes() -> None:
    one, around = spec(), Surroundings(folder="/srv", home="/home/anna")
    for text in ("/a:/b:ro", "./c:/d/", "~/e:/f", "named:/g", "/h"):
        volume(text, one, around, PLACE)
    assert [(each.inside, each.outside) for each in one.mounts] == [
        *(("/b", "/a"), ("/d", "/srv/c"), ("/f", "/home/anna/e"), ("/g", None), ("/h", None))
    ]
    mount("~/x", "/y", one, Surroundings(), PLACE)
    assert is_unknown(str(one.mounts[-1].outside))


def test_variables_of_who_runs_it() -> None:
    one = spec()
    for text in ("A=1=2", "B", "C"):
        assign(text, one, {"B": "b"}, PLACE)
    assert (one.variables["A"], one.variables["B"]) == ("1=2", "b")
    assert is_unknown(one.variables["C"])
