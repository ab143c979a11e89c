"""What is asked of the host, and what is noted."""

from tests.helpers.launchers import GivenFiles
from vllmd.importing.surroundings import NoFiles, Notes, Surroundings, join, named_by
from vllmd.importing.unknown import Place, as_written, is_unknown

PLACE = Place("x", 1)


def test_home_and_folder_are_marks_where_they_are_not_known() -> None:
    nothing, known = Surroundings(), Surroundings(NoFiles(), "/srv", "/home/anna")
    assert as_written(nothing.home_at(PLACE)) == "~"
    assert is_unknown(nothing.folder_at("$PWD", PLACE))
    assert (known.home_at(PLACE), known.folder_at("$PWD", PLACE)) == ("/home/anna", "/srv")


def test_paths_are_joined_without_dots() -> None:
    assert join("/srv/app", "../m/./x") == "/srv/m/x"
    assert join("/srv", "/opt") == "/opt"
    assert join("", "./x") == "./x"


def test_each_note_is_kept_once() -> None:
    notes = Notes()
    for _ in range(2):
        notes.refuse(PLACE, "no")
        notes.remark("so")
    assert [str(each) for each in notes.problems] == ["x:1: no"]
    assert notes.remarks == ["so"]


def test_no_files_has_none() -> None:
    files = NoFiles()
    assert (files.read("/x"), list(files.names("/")), files.is_folder("/")) == (None, [], False)


def test_patterns_name_the_files_that_are_there_and_paths_themselves() -> None:
    files = GivenFiles({"/c/2.env": "", "/c/1.env": "", "/c/x": ""})
    assert named_by("/c/*.env", files) == ["/c/1.env", "/c/2.env"]
    assert named_by("/c/none", files) == ["/c/none"]
    assert named_by("/d/[ab]", files) == []


def test_folder_of_a_file_is_where_it_was_run_if_its_path_is_not_whole() -> None:
    around = Surroundings(folder="/srv")
    assert (around.folder_of("/etc/a.conf"), around.folder_of("a.conf")) == ("/etc", "/srv")
    assert Surroundings().folder_of("a.conf") is None
