from typing import Any

from tests.helpers.make import engine, status
from vllmd.config import command
from vllmd.engine.status import EngineStatus
from vllmd.probe.identity import AnswersIdentity
from vllmd.probe.reference import KeptProbe, Reference
from vllmd.probe.run_identity import RunIdentity


def run(run_id: str, **more: Any) -> EngineStatus:
    return status(run_id=run_id, **more)


async def of(
    known: RunIdentity,
    now: EngineStatus,
    text: str = "",
    kept: KeptProbe | None = None,
    version: str | None = "0.32.0",
) -> AnswersIdentity | None:
    made = engine(text)
    return await known.of(now, kept or KeptProbe(), made, command.build(made), version, ("H200",))


async def test_run_keeps_what_it_was_started_with() -> None:
    known = RunIdentity()
    first = await of(known, run("one"))
    assert await of(known, run("one", command_changed=True), 'quantization = "fp8"') == first
    second = await of(known, run("two"), 'quantization = "fp8"')
    assert first is not None
    assert second is not None
    assert second.changed(first) == ["quantization"]


async def test_what_was_not_told_yet_is_added() -> None:
    known = RunIdentity()
    first = await of(known, run("one"), version=None)
    second = await of(known, run("one"))
    assert first is not None
    assert second is not None
    assert second.changed(first) == ["vllm"]


async def test_run_of_another_command_is_known_if_it_was_right_before_only() -> None:
    older = run("one", command_changed=True)
    assert await of(RunIdentity(), older) is None
    identity = await of(RunIdentity(), run("one"))
    assert identity is not None
    reference = Reference(identity, (), 0.0, 0.0, "vllmd")
    right = KeptProbe(reference, run_id="one")
    assert await of(RunIdentity(), older, "max_model_len = 10", right) == identity
    wrong = KeptProbe(reference, run_id="one", wrong="far")
    assert await of(RunIdentity(), older, kept=wrong) is None


async def test_run_of_another_command_that_was_wrong_is_known_by_what_was_kept() -> None:
    older, known = run("one", command_changed=True), RunIdentity()
    identity = await of(known, run("one"))
    kept = known.kept_in(KeptProbe(run_id="one", wrong="far"))
    assert kept.identity == identity
    assert await of(RunIdentity(), older, "max_model_len = 10", kept) == identity
    assert await of(RunIdentity(), run("two", command_changed=True), kept=kept) is None
    assert known.kept_in(KeptProbe(run_id="two")).identity is None
