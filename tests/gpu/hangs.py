"""A hang that is provoked and found, and work that looks like one and is not."""

import time
from contextlib import AbstractContextManager, ExitStack

from tests.gpu.conftest import REPORT
from tests.gpu.vllm_engine import LOAD_S, GpuSampler, GpuSite, PromptLoad
from tests.helpers.site import wait_for

VERDICT_S = 60.0
LEARNED_S = 20.0


def find_hang(
    made: GpuSite,
    name: str,
    fault: str,
    hang: AbstractContextManager[None],
    *samplers: GpuSampler,
) -> str:
    """Let a loaded engine hang, and wait for the verdict and until it serves again.

    Returns: after how many seconds, with what its GPUs showed.
    """
    before, count = made.site.engine(name), made.stalls(name)
    with PromptLoad(made, name, clients=16, prompt=500, tokens=200):
        time.sleep(LEARNED_S)
        began = time.monotonic()
        with hang, ExitStack() as sampled:
            for sampler in samplers:
                sampled.enter_context(sampler)
            time.sleep(20)
            shown = made.site.vllmd("status").stdout
            REPORT.append(f"{fault}, after 20 s: {_told(samplers)}\n{shown}")
            assert "no step" in shown, "the fault has not landed"
            wait_for("stalled", lambda: made.stalls(name) > count, 1.5 * VERDICT_S)
            found_s = time.monotonic() - began
        after = made.site.wait_new_run(name, before, LOAD_S)
        serving_s = time.monotonic() - began
    why = made.site.vllmd("why", name).stdout
    text = f"found after {found_s:.0f} s ({_told(samplers)}), serving again after {serving_s:.0f} s"
    REPORT.append(f"{fault}: {text}\nwhy:\n{why}")
    assert after["last_exit"]["diagnosis"]["cause"] == "stalled"
    assert found_s <= VERDICT_S
    return text


def answer_long_prompt(made: GpuSite, name: str, *samplers: GpuSampler) -> str:
    """Have a prompt of 100,000 tokens answered, in one step of one run, without a verdict.

    Returns: after how many seconds, with what its GPUs showed.
    """
    before, count = made.site.engine(name), made.stalls(name)
    began = time.monotonic()
    with ExitStack() as sampled:
        for sampler in samplers:
            sampled.enter_context(sampler)
        made.ask(name, prompt=100_000, tokens=4)
    after = made.site.engine(name)
    assert (after["run_id"], made.stalls(name)) == (before["run_id"], count)
    text = f"answered after {time.monotonic() - began:.0f} s ({_told(samplers)}), no verdict"
    REPORT.append(f"100,000 tokens: {text}")
    return text


def _told(samplers: tuple[GpuSampler, ...]) -> str:
    return "; ".join(sampler.text() for sampler in samplers)
