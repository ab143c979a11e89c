"""Which variables an engine gets."""

from vllmd.importing.unknown import Place, mark
from vllmd.importing.variables import kept


def test_parameters_of_the_launcher_are_left_out_and_that_is_said() -> None:
    variables, said = kept({"PORT": "1", "HF_HOME": "/x", "PLUGIN": "y"}, {"PORT", "HF_HOME"})
    assert variables == {"HF_HOME": "/x", "PLUGIN": "y"}
    assert said == [
        "left out: PORT: of the launcher's own words only; the values are in their place"
    ]


def test_path_is_left_out_and_lists_keep_what_is_known() -> None:
    own = mark("$LD_LIBRARY_PATH", "a: b", Place("x", 1))
    variables, said = kept({"PATH": "/x/bin", "LD_LIBRARY_PATH": f"/a:{own}:/b"})
    assert variables == {"LD_LIBRARY_PATH": "/a:/b"}
    assert [each.split(":")[0] for each in said] == ["left out", "LD_LIBRARY_PATH"]


def test_of_a_process_only_what_a_library_reads_is_kept() -> None:
    variables, said = kept({"NCCL_DEBUG": "INFO", "MAIL": "/x", "no_proxy": "*"}, known_only=True)
    assert variables == {"NCCL_DEBUG": "INFO", "no_proxy": "*"}
    assert said == []
