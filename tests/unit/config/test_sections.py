from pathlib import Path

import pytest

from vllmd.config.load import load
from vllmd.config.problem import InvalidConfigError
from vllmd.config.sections import LogsConfig


def test_logs_are_rotated_as_the_classic_stanza_has_it() -> None:
    logs = LogsConfig()
    assert (logs.rotate, logs.keep, logs.compress, logs.journal) == ("daily", 14, True, False)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('rotate = "monthly"', 'one of "hourly", "daily", "weekly", "never"'),
        ("rotate_mb = 0", "1"),
        ("budget_mb = 200", "less than three times rotate_mb, which is 100"),
    ],
)
def test_logs_that_make_no_sense_are_refused(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "v.toml"
    path.write_text(f"[logs]\n{text}\n")
    with pytest.raises(InvalidConfigError) as caught:
        load(path)
    assert error in str(caught.value)
