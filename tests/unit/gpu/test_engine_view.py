import asyncio
from collections.abc import Awaitable, Iterator
from pathlib import Path

import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.eventually import eventually
from tests.helpers.gpus import CHAT, G1, G2, RESERVED, TEXT, TOTAL, GpuScene, view
from tests.helpers.kept_weights import short_folder
from tests.helpers.make import config
from vllmd.engine.gpu_interface import EngineGpus
from vllmd.engine.state_machine import State
from vllmd.gpu.engine_view import view_of
from vllmd.gpu.fit import CONTEXT_BYTES
from vllmd.gpu.memory_shares import Owner
from vllmd.gpu.reader_process import STARTING, ReaderProblem
from vllmd.gpu.service import GpuService
from vllmd.gpu.state_file import GpuStateFile
from vllmd.util.units import GIB
from vllmd.xids import KernelXid

KEPT = (G1, 30, 16, Owner.WEIGHTS, "chat")
PRELOAD = TEXT.replace(
    "gpu_memory_utilization = 0.5", "gpu_memory_utilization = 0.5\npreload = true"
)


@pytest.fixture
def keeping(monkeypatch: pytest.MonkeyPatch) -> Iterator[GpuScene]:
    with short_folder() as folder:
        yield GpuScene(folder, monkeypatch, PRELOAD)


async def test_weights_that_are_kept_are_no_part_of_an_engines_end_and_proven_gone_after_theirs(
    keeping: GpuScene,
) -> None:
    chat = view(keeping)

    async def answers(question: Awaitable[list[str] | None]) -> list[str] | None:
        asked = asyncio.ensure_future(question)
        await eventually(lambda: keeping.told[-1:] == ["processes"])
        keeping.told.clear()
        keeping.holds(KEPT)
        return await asked

    keeping.holds(CHAT, KEPT)
    assert await answers(chat.holders()) == []
    left = await answers(chat.weights_holders())
    assert left is not None
    assert "16.0 GiB held by proc30 (pid 30)" in left[0]


def test_weights_that_are_kept_compute_nothing(keeping: GpuScene) -> None:
    keeping.holds(CHAT, KEPT)
    keeping.read("fast", {}, busy_ratio=1.0)
    assert view(keeping).busy() is True, "nobody else computes there"
    assert view(keeping).memory_bytes() == 50 * GIB
    marks = view(keeping).seen(0.0)
    assert "vram_holders" not in marks


def test_start_needs_less_by_what_is_kept(keeping: GpuScene) -> None:
    other = (G1, 99, 70, Owner.FOREIGN, None)
    keeping.fast(memory_total_bytes=float(TOTAL), memory_reserved_bytes=float(RESERVED))
    keeping.holds(KEPT, other)
    device = keeping.gpus.latest.devices[G1]
    engine = keeping.config.engines["chat"]
    free, needed = 14 * GIB, 50 * GIB
    margin = keeping.gpus.margin(device, engine)
    assert margin == free + 16 * GIB - 2 * CONTEXT_BYTES - needed
    keeping.holds(other)
    margin = keeping.gpus.margin(device, engine)
    assert margin == free + 16 * GIB - 2 * CONTEXT_BYTES - needed, "as before it is loaded"


def test_gpus_are_fine_until_one_of_them_is_not(scene: GpuScene) -> None:
    scene.slow()
    assert view(scene).fine() is True
    scene.fast(lost={G2: "lost"})
    assert view(scene).fine() is True, "chat is not on the second"
    assert view(scene, "code").fine() is False
    scene.fast()
    scene.read("slow", {}, recovery_action=1.0)
    assert view(scene).fine() is False


def test_driver_that_was_changed_is_not_fine_and_says_why(scene: GpuScene) -> None:
    scene.library = "590.2"
    scene.slow()
    assert view(scene).fine() is False
    assert "590.2" in (view(scene).mismatch() or "")


def test_silent_reader_knows_nothing(scene: GpuScene) -> None:
    scene.holds(CHAT)
    scene.clock.now += 100
    chat = view(scene)
    known = (chat.fine(), chat.has_room(), chat.busy(), chat.memory_bytes())
    assert known == (None,) * 4


def test_room_is_there_when_a_start_would_fit(scene: GpuScene) -> None:
    scene.holds((G1, 7, 40, Owner.FOREIGN, None))
    assert view(scene).has_room() is True
    scene.holds((G1, 7, 55, Owner.FOREIGN, None))
    assert view(scene).has_room() is False
    assert view(scene, "code").has_room() is True


def test_busy_is_sure_only_on_a_gpu_of_its_own(scene: GpuScene) -> None:
    assert view(scene).busy() is None
    scene.holds(CHAT)
    assert view(scene).busy() is False
    scene.read("fast", {}, busy_ratio=0.4)
    assert view(scene).busy() is True
    scene.holds(CHAT, (G1, 7, 5, Owner.FOREIGN, None))
    assert view(scene).busy() is None


@pytest.mark.parametrize(
    ("first", "second", "busy"),
    [
        (0.0, None, None),
        (None, 0.0, None),
        (0.0, 0.0, False),
        (0.4, None, True),
        (None, 0.4, True),
    ],
)
def test_gpu_without_a_figure_may_be_the_one_that_computes(
    scene: GpuScene, first: float | None, second: float | None, busy: bool | None
) -> None:
    scene.holds((G1, 20, 20, Owner.ENGINE, "code"), (G2, 21, 22, Owner.ENGINE, "code"))
    scene.clock.now += 60
    ratios = ((G1, first), (G2, second))
    values = {uuid: {} if ratio is None else {"busy_ratio": ratio} for uuid, ratio in ratios}
    scene.read_of("fast", values)
    scene.holds((G1, 20, 20, Owner.ENGINE, "code"), (G2, 21, 22, Owner.ENGINE, "code"))
    assert view(scene, "code").busy() is busy


@pytest.mark.parametrize(
    ("titles", "idle"),
    [
        (("VLLM::EngineCore_DP4", "VLLM::EngineCore_DP5"), {5}),
        (("VLLM::Worker_DP4_TP0", "VLLM::Worker_DP4_TP1"), set()),
        (("VLLM::Worker_DP12_TP0", "VLLM::Worker_DP1_TP0"), {1}),
        (("VLLM::EngineCore", "VLLM::EngineCore"), set()),
    ],
)
def test_idle_ranks_are_those_of_which_no_gpu_computes(
    scene: GpuScene, titles: tuple[str, str], idle: set[int]
) -> None:
    assert view(scene, "code").idle_ranks() == frozenset()
    scene.titles = {20: titles[0], 21: titles[1]}
    scene.holds((G1, 20, 20, Owner.ENGINE, "code"), (G2, 21, 22, Owner.ENGINE, "code"))
    scene.read("fast", {G2: ""}, busy_ratio=1.0)
    scene.read("fast", {G1: ""}, busy_ratio=0.0)
    assert view(scene, "code").idle_ranks() == idle
    assert view(scene, "chat").idle_ranks() == frozenset()


def test_pids_of_ranks_are_told_by_the_titles_of_processes(scene: GpuScene) -> None:
    scene.titles = {20: "VLLM::Worker_DP4_TP0", 21: "VLLM::Worker_DP4_TP1"}
    scene.holds((G1, 20, 20, Owner.ENGINE, "code"), (G2, 21, 22, Owner.ENGINE, "code"))
    assert view(scene, "code").rank_pids() == {4: {20, 21}}
    assert view(scene, "chat").rank_pids() == {}
    scene.titles = {}
    scene.holds((G1, 20, 20, Owner.ENGINE, "code"))
    assert view(scene, "code").rank_pids() == {}


def test_memory_is_that_of_all_its_gpus(scene: GpuScene) -> None:
    scene.holds((G1, 20, 20, Owner.ENGINE, "code"), (G2, 21, 22, Owner.ENGINE, "code"))
    assert view(scene, "code").memory_bytes() == 42 * 1024**3


def test_seen_are_the_xids_of_its_gpus_and_who_holds_their_memory(scene: GpuScene) -> None:
    began = scene.clock.time()
    scene.say("xid", at=began + 1, uuid=G1, code=79)
    scene.say("xid", at=began + 1, uuid=G2, code=48)
    scene.say("xid", at=began + 1, uuid=G1, code=31)
    scene.holds(CHAT, (G1, 7, 30, Owner.FOREIGN, None), (G2, 8, 30, Owner.FOREIGN, None))
    seen = view(scene).seen(began)
    assert set(seen) == {"xid_79", "xid_31", "vram_holders"}
    assert seen["vram_holders"] == ("memory of its GPUs was held: GPU 0: 30.0 GiB by proc7 (pid 7)")
    scene.clock.now += 1000
    assert set(view(scene).seen(began)) == {"xid_79"}, "what concerned one process is over"
    assert view(scene).seen(began + 2) == {}


def test_xid_of_another_process_explains_no_end_of_ours(scene: GpuScene) -> None:
    began = scene.clock.time()
    scene.holds(CHAT)
    for pid in (99, 10):
        scene.clock.now += 20
        scene.say("xid", at=scene.clock.time(), uuid=G1, code=31)
        scene.gpus._take_kernel_xid(KernelXid((0, 0, 6), 31, f"pid={pid}"))
    marks = view(scene).seen(began)
    assert "pid=10" in marks["xid_31"]
    assert scene.gpus.xids.since(began)[0].pid == 99
    scene.say("xid", at=scene.clock.time(), uuid=G1, code=13)
    scene.gpus._take_kernel_xid(KernelXid((0, 0, 6), 13, "pid=99"))
    assert "xid_13" not in view(scene).seen(began)


async def test_holders_are_what_is_left_of_the_engine_itself(scene: GpuScene) -> None:
    assert await view(scene).holders() is None, "it never had memory"
    scene.holds(CHAT)
    asking = asyncio.ensure_future(view(scene).holders())
    await asyncio.sleep(0)
    scene.holds((G1, 10, 50, Owner.ORPHAN, "chat"), (G1, 7, 5, Owner.FOREIGN, None))
    assert await asking == ["GPU 0: 50.0 GiB held by proc10 (pid 10)"]


async def test_holders_of_a_reader_that_is_silent_are_not_known(scene: GpuScene) -> None:
    scene.holds(CHAT)
    asking = asyncio.ensure_future(view(scene).holders())
    await scene.clock.advance(5)
    assert await asking is None


def test_host_without_gpus_knows_nothing(tmp_path: Path) -> None:
    made = config(
        f'[daemon]\nrun_dir = "{tmp_path}"\n[gpu]\nsource = "none"\n[engines.chat]\nmodel = "m"\n'
    )
    gpus = GpuService(made, {}, lambda: [], FakeClock(), GpuStateFile(tmp_path / "gpus.json"))
    assert type(view_of(gpus, made.engines["chat"])) is EngineGpus


def test_engine_that_sees_no_gpu_is_not_concerned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = TEXT.replace('CUDA_VISIBLE_DEVICES = "0"', 'CUDA_VISIBLE_DEVICES = ""')
    scene = GpuScene(tmp_path, monkeypatch, text)
    scene.library = "590.2"
    scene.slow()
    assert type(view(scene)) is EngineGpus
    assert view(scene, "code").mismatch() is not None


def test_recent_readings_are_there_for_an_incident(scene: GpuScene) -> None:
    scene.holds(CHAT)
    assert [each["at"] for each in view(scene).recent()] == [scene.clock.time()]


def test_traces_are_of_all_gpus_that_the_engine_holds_memory_of(scene: GpuScene) -> None:
    began = scene.clock.monotonic()
    assert view(scene).traces(began, began + 5) is None, "it holds none"
    scene.holds(CHAT, (G1, 20, 20, Owner.ENGINE, "code"), (G2, 21, 20, Owner.ENGINE, "code"))
    scene.clock.now += 1
    scene.fast(power_watts=124.0)
    chat = view(scene).traces(began, began + 1)
    assert chat is not None
    assert [(each.gpu, each.pids, each.shared) for each in chat] == [("0", frozenset({10}), True)]
    assert [sample.watts for sample in chat[0].samples] == [124.0]
    code = view(scene, "code").traces(began, began + 1)
    assert code is not None
    assert [(each.gpu, each.pids, each.shared) for each in code] == [
        ("0", frozenset({20}), True),
        ("1", frozenset({21}), False),
    ]


@pytest.mark.parametrize(
    ("state", "requests", "shared"),
    [
        (State.READY, (0, 0), False),
        (State.READY, (1, 0), True),
        (State.READY, (0, 1), True),
        (State.READY, (None, None), True),
        (State.UNREACHABLE, (0, 0), True),
        (State.LOADING, (0, 0), True),
    ],
)
def test_traces_of_a_gpu_beside_an_engine_without_requests_are_its_own(
    scene: GpuScene, state: State, requests: tuple[int | None, int | None], shared: bool
) -> None:
    scene.holds(CHAT, (G1, 20, 20, Owner.ENGINE, "code"))
    running, waiting = requests
    scene.becomes("code", state, requests_running=running, requests_waiting=waiting)
    (chat,) = view(scene).traces(0.0, 5.0) or ()
    assert chat.shared is shared
    scene.holds(CHAT, (G1, 20, 20, Owner.ENGINE, "code"), (G1, 30, 1, Owner.FOREIGN, None))
    (chat,) = view(scene).traces(0.0, 5.0) or ()
    assert chat.shared, "nobody knows what another process does"


def test_traces_say_nothing_where_a_part_of_the_engine_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = GpuScene(tmp_path, monkeypatch)
    scene.holds((G2, 21, 20, Owner.ENGINE, "code"))
    assert view(scene, "code").traces(0.0, 5.0) is None, "one of its two workers is elsewhere"
    for flags in (
        "cpu-offload-gb = 10",
        'kv-transfer-config = "{}"',
        "nnodes = 2",
        'weight-transfer-config = "{}"',
        'worker-extension-cls = "rl.Update"',
    ):
        folder = tmp_path / flags[:3]
        folder.mkdir()
        scene = GpuScene(folder, monkeypatch, TEXT.replace("tensor-parallel-size = 2", flags))
        scene.holds((G2, 21, 20, Owner.ENGINE, "code"))
        assert view(scene, "code").traces(0.0, 5.0) is None, flags


def test_readings_are_awaited_until_the_first_came_or_there_will_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = GpuScene(tmp_path, monkeypatch)
    assert not view(scene).awaited(), "they came"
    scene.gpus.latest.success_at = None
    problems = (STARTING, None, ReaderProblem("no_driver", "no driver"))
    for problem, awaited in zip(problems, (True, True, False), strict=True):
        scene.gpus.reader.fast.problem = problem
        assert view(scene).awaited() is awaited


def test_memory_of_one_that_takes_turns_is_room_once_it_sleeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = "[engines.chat.sleep]\nshare = 'a'\n[engines.code.sleep]\nshare = 'a'\n"
    scene = GpuScene(tmp_path, monkeypatch, TEXT + tables)
    scene.holds((G1, 20, 80, Owner.ENGINE, "code"))
    device, chat = scene.gpus.latest.devices[G1], scene.config.engines["chat"]
    assert view(scene).has_room() is False, "code is awake"
    margin = scene.gpus.margin(device, chat)
    assert margin is not None
    assert margin > 0, "what a restart would find: code is put to sleep first"
    scene.becomes("code", State.SLEEPING)
    assert view(scene).has_room() is True, "it was just listed with what it had"
