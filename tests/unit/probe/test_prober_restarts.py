"""A prober over restarts of daemons and engines, late disks, and tables that are removed."""

import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.helpers.late_disk import LateDisk
from tests.unit.probe.case import Case, asked, wrong
from vllmd.engine.state_machine import State
from vllmd.errors import HeldError
from vllmd.events.probe import ProbeWrong
from vllmd.probe.prober import GpuSight
from vllmd.probe.status import AnswersVerdict


async def test_known_wrong_engine_is_red_from_its_next_start_until_it_was_asked(
    tmp_path: Path,
) -> None:
    case = Case(tmp_path, '[engines.chat.probe]\non_mismatch = "drain"')
    await wrong(case)
    case.answers.over()
    case.status = case.ready("three", state=State.LOADING)
    await case.look()
    assert case.answers.wrong is not None
    case.vllm.seed, case.status = 1, case.ready("three")
    assert await case.look() is AnswersVerdict.RIGHT
    assert case.answers.wrong is None


async def test_gpus_that_are_read_after_the_daemons_start_are_no_reason(case: Case) -> None:
    case.gpus = GpuSight(("H200",), {"ecc a": 2.0})
    await case.look()
    case.gpus = GpuSight()
    case.prober = case.made()
    assert await asked(case) == 0
    case.gpus = GpuSight(("H200",), {"ecc a": 2.0})
    assert await asked(case) == 0
    case.gpus = GpuSight(("H200",), {"ecc a": 3.0})
    assert await asked(case) == 1


DRAIN = '[engines.chat.probe]\non_mismatch = "drain"\n'


async def test_daemon_whose_disk_is_late_records_nothing_and_writes_nothing_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(tmp_path, DRAIN)
    await case.prober.ask_now("root")
    case.vllm.seed = 2
    await case.prober.ask_now()
    known, file = case.answers.wrong, case.path.read_bytes()
    assert known is not None
    disk, case.prober, asked = LateDisk(monkeypatch), case.made(DRAIN), len(case.vllm.asked)
    assert await case.look() is AnswersVerdict.UNKNOWN
    assert "cannot be read" in str(case.prober.status.found)
    with pytest.raises(HeldError, match=r"not asked.*cannot be read.*try again"):
        await case.prober.ask_now("root")
    case.prober.close()
    assert (case.path.read_bytes(), len(case.vllm.asked)) == (file, asked)
    case.answers.withhold(None)  # as a daemon that did not read `state.json` either
    disk.late = False
    case.prober = case.made(DRAIN)
    assert await case.look() is AnswersVerdict.WRONG
    assert case.answers.wrong == known
    assert case.prober.status.recorded_by == "root"


async def test_disk_that_answers_later_is_asked_again(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    await case.prober.ask_now("root")
    case.prober, disk = case.made(), LateDisk(monkeypatch)
    assert await case.look() is AnswersVerdict.UNKNOWN
    disk.late = False
    assert await case.look() is AnswersVerdict.RIGHT
    assert (case.prober.status.found, case.prober.status.recorded_by) == (None, "root")


@pytest.mark.long
@pytest.mark.parametrize("lost", ["reference", "model"])
async def test_run_that_is_withheld_is_recorded_by_a_person_only(tmp_path: Path, lost: str) -> None:
    case = Case(tmp_path, f'quantization = "fp8"\n{DRAIN}')
    await case.look()
    case.vllm.seed = 2
    await case.prober.ask_now()
    if lost == "reference":
        case.path.unlink()
    else:  # as an older daemon wrote it
        written = json.loads(case.path.read_text())
        case.path.write_text(json.dumps({**written, "identity": None}))
    case.prober = case.made(DRAIN if lost == "model" else f'quantization = "fp8"\n{DRAIN}')
    await case.clock.advance(4000)
    await case.look()
    assert case.answers.wrong is not None
    assert "not recorded" in str((await case.prober.ask_now())["problem"])
    await case.prober.ask_now("root")
    assert case.answers.wrong is None
    assert case.prober.status.verdict is AnswersVerdict.RIGHT


@pytest.mark.long
async def test_probe_in_flight_keeps_nothing_away_once_its_table_is_removed(
    tmp_path: Path,
) -> None:
    case = Case(tmp_path, DRAIN)
    await case.look()
    case.vllm.seed = 2

    def removed() -> None:
        case.answers.use(withholds=False)
        case.prober.close()

    case.vllm.told = removed
    with capture_logs() as logs:
        assert (await case.prober.ask_now())["verdict"] == "wrong"
    assert case.answers.wrong is None
    (told,) = [each for each in logs if each["event"] == ProbeWrong.name]
    assert told["consequence"] == "an alert alone: its table probe was removed"


@pytest.mark.parametrize(("code", "why"), [(503, "not asked: HTTP 503"), (404, "HTTP 404: no")])
async def test_ask_that_found_nothing_says_so(case: Case, code: int, why: str) -> None:
    assert (await case.prober.ask_now())["problem"] is None
    case.vllm.status = code
    assert why in (await case.prober.ask_now())["problem"]
    assert why in (await case.prober.ask_now("root"))["problem"]
    case.vllm.status = 200
    assert (await case.prober.ask_now())["problem"] is None
