import pytest

from vllmd.engine.log_reading.entries import read_entries


@pytest.mark.parametrize(
    ("line", "process", "level", "place", "text"),
    [
        ("ERROR 11-18 18:07:28 engine.py:366] x", None, "error", "engine.py:366", "x"),
        ("(A pid=1) ERROR [v1/core.py:8] x", "A", "error", "v1/core.py:8", "x"),
        ("INFO 04-30 10:20:01 [core.py:58] x", None, "info", "core.py:58", "x"),
        (
            "ERROR 04-30 10:20:01.123 [v1/engine/core.py:8] x",
            None,
            "error",
            "v1/engine/core.py:8",
            "x",
        ),
        (
            "(APIServer pid=1) WARNING 11-23 18:48:58 [a.py:1] x",
            "APIServer",
            "warning",
            "a.py:1",
            "x",
        ),
        (
            "(EngineCore_0 pid=1) (VllmWorker TP0 pid=2) ERROR 09-04 10:50:11 [m.py:5]   y",
            "VllmWorker TP0",
            "error",
            "m.py:5",
            "  y",
        ),
        (
            "1 kserve ERROR [__main__.py:<module>():259] x",
            None,
            "error",
            "kserve",
            "x",
        ),
        (
            "[2025-11-23 10:00:05,102 E 7 9] (gcs_server) core_worker.cc:228: x",
            None,
            "error",
            "core_worker.cc:228",
            "x",
        ),
        ("1 uvicorn.error INFO:     x", None, "info", "uvicorn.error", "x"),
        ("(VllmWorker rank=1 pid=2) x", "VllmWorker rank=1", None, None, "x"),
        ("(RayWorkerWrapper pid=71, ip=192.0.2.8) x", "RayWorkerWrapper", None, None, "x"),
        (
            "(EngineCore pid=1) 2025-11-23 10:00:05,102 INFO worker.py:1850 -- x",
            "EngineCore",
            "info",
            "worker.py:1850",
            "x",
        ),
        (
            "(MapWorker(MapBatches(vLLMEngineActor)) pid=12, ip=192.0.2.8) x",
            "MapWorker(MapBatches(vLLMEngineActor))",
            None,
            None,
            "x",
        ),
        ("(raylet) x", "raylet", None, None, "x"),
        (
            "INFO:     Application startup complete.",
            None,
            "info",
            None,
            "Application startup complete.",
        ),
        ("ERROR:root:x", None, "error", "root", "x"),
        ("INFO worker.py:1850 -- x", None, "info", "worker.py:1850", "x"),
        (
            "[rank2]:[E1001 16:06:04.5 ProcessGroupNCCL.cpp:607] x",
            None,
            "error",
            "ProcessGroupNCCL.cpp:607",
            "x",
        ),
        (
            "[rank0]: Traceback (most recent call last):",
            None,
            None,
            None,
            "Traceback (most recent call last):",
        ),
        (
            "[W1123 18:49:17.7 utils.cpp:68] Warning: NUMA",
            None,
            "warning",
            "utils.cpp:68",
            "Warning: NUMA",
        ),
        ("gpu1:29:42 [0] NCCL INFO x", None, "warning", "NCCL", "x"),
        ("/a/b.py:224: UserWarning: x", None, "warning", None, "/a/b.py:224: UserWarning: x"),
        ("- gpustack.worker - INFO - x", None, "info", "gpustack.worker", "x"),
        ("ValueError: x", None, None, None, "ValueError: x"),
        ("(EngineCore_DP0) ERROR [a.py:8] x", "EngineCore_DP0", "error", "a.py:8", "x"),
        ("(Other) x", None, None, None, "(Other) x"),
        ("ERROR 07-02 [a.py:9] x", None, "error", "a.py:9", "x"),
        (
            "pynccl_wrapper.py:388] RuntimeError: x",
            None,
            None,
            "pynccl_wrapper.py:388",
            "RuntimeError: x",
        ),
        ("(W pid=7) ERROR 2025-10-25 15:32:13.272 [a.py:5] x", "W", "error", "a.py:5", "x"),
        ("INFO 2026-01-30 13:11:28.375 api.py:144] x", None, "info", "api.py:144", "x"),
        (
            "ERROR: (Worker_TP1 pid=7) INFO 10-11 22:28:17 [a.py:6] x",
            "Worker_TP1",
            "info",
            "a.py:6",
            "x",
        ),
        ("INFORMATION", None, None, None, "INFORMATION"),
    ],
)
def test_read_entries_knows_each_format(
    line: str, process: str | None, level: str | None, place: str | None, text: str
) -> None:
    (entry,) = read_entries([line])
    assert (entry.process, entry.level, entry.place, entry.text) == (process, level, place, text)
    assert entry.quiet == (level in ("info", "warning"))


def test_read_entries_know_the_pid_and_the_time_of_day() -> None:
    (entry,) = read_entries(["(EngineCore pid=77) ERROR 11-23 19:09:22 [core.py:1] x"])
    assert (entry.pid, entry.at) == (77, "11-23 19:09:22")
    assert entry.stream == ("EngineCore", 77, "error", "core.py:1")


def test_read_entry_behind_a_process_and_a_frame_of_a_terminal() -> None:
    [entry] = read_entries(["(ServeReplica:llm pid=4711) │ ERROR 11-28 21:05:03 engine.py:157] x"])
    assert (entry.process, entry.level, entry.text) == ("ServeReplica:llm", "error", "x")


def test_read_entries_of_pytorch_before_its_lines_had_a_day() -> None:
    [entry] = read_entries(["[rank0]:[E ProcessGroupNCCL.cpp:563] [Rank 0] Watchdog caught it"])
    assert (entry.level, entry.place) == ("error", "ProcessGroupNCCL.cpp:563")
    assert entry.text == "[Rank 0] Watchdog caught it"
