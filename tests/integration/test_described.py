"""The control socket answers as docs/reference/control-api.json has it: drawn by schemathesis."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.described import DESCRIBED, described_daemon, try_all
from tests.helpers.site import Site

SEED = 34


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with described_daemon(tmp_path_factory.mktemp("api")) as made:
        yield made


def test_every_operation_answers_as_described(daemon: Site, tmp_path: Path) -> None:
    """Each bound of each parameter, within and without; `make fuzz` draws more of it."""
    said = try_all(daemon, tmp_path, SEED, "--phases", "examples,coverage")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "21 selected / 21 total" in said.stdout
    assert set(daemon.samples("vllmd_part_failures_total").values()) == {0.0}
    assert "Traceback" not in daemon.log()


def test_answer_that_is_not_as_described_is_found(daemon: Site, tmp_path: Path) -> None:
    wrong = json.loads(DESCRIBED.read_text())
    wrong["components"]["schemas"]["adapters"]["required"].append("nothing")
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    more = ("--phases", "coverage", "--include-path", "/v1/lora")
    said = try_all(daemon, tmp_path, SEED, *more, document=tmp_path / "wrong.json")
    assert said.returncode == 1
    assert "Response violates schema" in said.stdout
