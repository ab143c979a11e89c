import re

import pynvml

from tests.helpers.each import of_each
from vllmd.gpu.rows import FAMILIES, FAST, ONCE, ROWS, SLOW, Call, Field, NvmlRow


def test_keys_are_unique() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)


@of_each(ROWS, lambda row: row.key)
def test_row_names_what_nvml_has(row: NvmlRow) -> None:
    if isinstance(row.source, Call):
        assert hasattr(pynvml, row.source.function)
        assert all(hasattr(pynvml, name) for name in row.source.constants)
    else:
        assert isinstance(row.source, Field)
        assert hasattr(pynvml, row.source.name)


@of_each(ROWS, lambda row: row.key)
def test_row_has_a_help_and_a_unit(row: NvmlRow) -> None:
    assert row.help.endswith(".")
    assert row.when in (FAST, SLOW, ONCE)
    unit = r"(bytes|ratio|watts|celsius|hertz|seconds|joules|errors|replays)(_total)?$"
    counts = ("active", "rows", "pending", "failed", "action", "generation", "width", "max")
    assert re.search(unit, row.name) or row.name.endswith(counts)


def test_rows_of_a_family_share_help_and_label() -> None:
    for rows in FAMILIES.values():
        assert len({row.help for row in rows}) == 1
        assert len({row.label and row.label[0] for row in rows}) == 1


def test_no_row_calls_what_samples_for_milliseconds() -> None:
    called = {row.source.function for row in ROWS if isinstance(row.source, Call)}
    assert "nvmlDeviceGetPcieThroughput" not in called
    assert "nvmlDeviceGetProcessUtilization" not in called
