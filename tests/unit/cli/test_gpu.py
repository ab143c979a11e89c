import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from tests.helpers.control import FakeGpus, control_socket
from tests.helpers.make import gpu, gpu_device, gpu_figures
from vllmd.cli import terminal
from vllmd.cli.gpu import command, report
from vllmd.gpu.memory_shares import Holder, Owner
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.readers import DisabledRow
from vllmd.gpu.snapshot import GpuFigures, SeenXid
from vllmd.util.units import GIB

ORPHAN = Holder(77, 20 * GIB, Owner.ORPHAN, "chat", "VLLM::Worker", "vllmd", 5)


def sick(**more: Any) -> GpuFigures:
    one = gpu(
        values={
            "busy_ratio": 0.96,
            "power_watts": 688.0,
            "power_limit_watts": 700.0,
            "temperature_celsius:gpu": 69.0,
            "clock_event_active:sw_power_cap": 1.0,
            "clock_event_active:gpu_idle": 1.0,
            "recovery_action": 1.0,
            "row_remap_pending": 1.0,
            "row_remap_failed": 1.0,
            "ecc_errors_total:uncorrected": 2.0,
        },
        owners={
            (Owner.ENGINE, "chat"): 70 * GIB,
            (Owner.ORPHAN, None): 20 * GIB,
            (Owner.FOREIGN, None): 0,
            (Owner.UNATTRIBUTED, None): -GIB,
            (Owner.FREE, None): 10 * GIB,
        },
        holders=(
            Holder(9, 70 * GIB, Owner.ENGINE, "chat", "VLLM::EngineCore", "vllmd", 1),
            ORPHAN,
            Holder(8, None, Owner.FOREIGN),
        ),
        margins={"chat": -2.5 * GIB, "code": float(GIB)},
        xids=(SeenXid.of(79, 1, 940.0), SeenXid.of(45, 3, 400.0)),
    )
    return gpu_figures(one, growth={"chat": 3 * GIB, "code": -1024}, **more)


def lines(figures: GpuFigures) -> str:
    shown = json.loads(json.dumps(figures.to_json()))
    return click.unstyle(terminal._coloured("\n".join(report(shown, 1000.0))))


def test_report_answers_what_is_asked_at_night() -> None:
    text = lines(sick())
    assert "GPU 0  NVIDIA H200  busy 96%  688/700 W  69 °C  clocks held by sw_power_cap" in text
    assert "chat 70.0 GiB · orphan 20.0 GiB · unattributed -1.0 GiB · free 10.0 GiB" in text
    assert "chat would NOT start again: 2.5 GiB too little" in text
    assert "code would start again, with 1.0 GiB to spare" in text
    assert "the driver asks to reset the GPU" in text
    assert "exchange the GPU" in text
    assert "reset the GPU when it is idle" in text
    assert "2 ECC errors" in text
    assert "Xid 79 (1m ago): the GPU has fallen off the bus; it needs: reboot" in text
    assert "Xid 45 (3 times, 10m ago)" in text
    assert "chat: +3.0 GiB beyond its largest batch" in text
    assert "code: -1.0 KiB beyond its largest batch" in text
    assert "0    77   orphan chat  vllmd  20.0 GiB   VLLM::Worker" in text
    assert "0    8    foreign      -      not known  (cannot be seen from here)" in text


def test_report_says_that_memory_is_the_hosts() -> None:
    text = lines(gpu_figures(gpu(device=gpu_device(unified=True))))
    assert "GPU 0  NVIDIA H200  shares the host's memory" in text
    assert "shares" not in lines(gpu_figures(gpu()))


def test_report_names_what_is_not_read_any_more() -> None:
    rows = (
        DisabledRow("GPU-1", "power_limit_watts", "crashed"),
        DisabledRow("", "xid_events", "hung"),
    )
    text = lines(gpu_figures(gpu(), disabled=rows))
    assert "not read any more: power_limit_watts of GPU 0; NVML crashed twice" in text
    assert "not read any more: xid_events of all GPUs; that call hung twice" in text


def test_bar_is_as_long_as_the_memory_is_whole() -> None:
    (bar,) = [line for line in lines(sick()).splitlines() if "█" in line]
    drawn = bar.strip().split("  ")[0]
    assert len(drawn) == 48
    assert (drawn.count("█"), drawn.count("▓")) == (34, 9)


def test_report_says_what_is_wrong_with_the_readings() -> None:
    text = lines(
        gpu_figures(
            gpu(lost="reset_required", lost_since=800.0),
            problem=ReaderProblem("hung", "the reader said nothing for 10 s"),
            mismatch="the kernel runs driver 1, but the library on the disk is 2",
        )
    )
    assert "no readings (hung): the reader said nothing for 10 s" in text
    assert "driver changed: the kernel runs driver 1" in text
    assert "cannot be read: reset required for 3m 20s (GPU-1)" in text


def test_report_of_a_demonstration_says_so() -> None:
    assert "do not exist" in lines(gpu_figures(gpu(device=gpu_device()), source="demo"))


def run(path: Path, *arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(
        command, list(arguments), input=answer, env={"VLLMD_SOCKET": str(path)}
    )


def test_json_is_what_the_daemon_knows(tmp_path: Path) -> None:
    gpus = FakeGpus(sick())
    with control_socket(tmp_path / "c.sock", gpus=gpus) as path:
        assert json.loads(run(path, "--json").output) == json.loads(
            json.dumps(gpus.shown.to_json())
        )


@pytest.mark.parametrize(
    ("arguments", "answer", "killed"),
    [(("reap",), "y\n", True), (("reap", "--yes"), "", True), (("reap",), "n\n", False)],
)
def test_reap_shows_then_asks_then_kills(
    tmp_path: Path, arguments: tuple[str, ...], answer: str, killed: bool
) -> None:
    gpus = FakeGpus(sick())
    gpus.killed = ["VLLM::Worker (pid 77)"]
    with control_socket(tmp_path / "c.sock", gpus=gpus) as path:
        result = run(path, *arguments, answer=answer)
    assert "77" in result.output
    assert "EngineCore" not in result.output, "what serves is not offered"
    assert ("killed: VLLM::Worker (pid 77)" in result.output) is killed
    assert result.exit_code == (0 if killed else 1)


def test_reap_without_orphans_says_so(tmp_path: Path) -> None:
    with control_socket(tmp_path / "c.sock", gpus=FakeGpus(gpu_figures(gpu()))) as path:
        assert "no orphan" in run(path, "reap").output
        assert json.loads(run(path, "reap", "--json").output) == {"killed": []}


def test_reap_as_json(tmp_path: Path) -> None:
    gpus = FakeGpus(sick())
    gpus.killed = ["x (pid 77)"]
    with control_socket(tmp_path / "c.sock", gpus=gpus) as path:
        result = run(path, "reap", "--yes", "--json")
    assert json.loads(result.output.splitlines()[-1]) == {"killed": ["x (pid 77)"]}


def test_release_lets_go_and_resumes(tmp_path: Path) -> None:
    gpus = FakeGpus()
    with control_socket(tmp_path / "c.sock", gpus=gpus) as path:
        assert "let go of for 1m 30s" in run(path, "release", "--for", "90s").output
        assert "read again" in run(path, "release", "--resume").output
        wrong = run(path, "release", "--for", "soon")
    assert gpus.released == [90.0, 0.0]
    assert wrong.exit_code == 2
    assert "no length of time" in wrong.output
