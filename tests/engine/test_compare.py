"""One version beside another, measured by the `vllm bench serve` of a real vLLM."""

import json
from pathlib import Path

import attrs

from tests.helpers.outcomes import Outcome
from tests.helpers.site import Site, wait_for
from vllmd.comparing.bench import LoadSpec
from vllmd.comparing.record import keep, kept

LOAD = LoadSpec(requests=8, at_once=4, prompt_tokens=32, answer_tokens=8)


def test_what_a_real_vllm_measures_is_held_against_the_version_before(
    real: Site, tmp_path: Path, outcome: Outcome
) -> None:
    wait_for("its version", lambda: real.engine("tiny")["vllm_version"])
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in attrs.asdict(LOAD).items()]
    given = ["tiny", "--rounds=1", f"--records={tmp_path}", "--while-serving", *sizes]
    first = real.vllmd("engine", "compare", *given, "-c", str(real.config), "--json")
    assert first.returncode == 0, first.stderr
    (measured,) = kept(tmp_path, "tiny")
    assert json.loads(first.stdout)["now"] == measured.version
    (one,) = measured.rounds
    assert (one.failed, len(one.answers)) == (0, LOAD.requests)
    assert one.tokens_per_s > 0
    assert one.first_token_p95_s >= one.first_token_s > 0
    assert len(measured.again) == LOAD.requests
    faster = attrs.evolve(one, tokens_per_s=100 * one.tokens_per_s)
    keep(tmp_path, attrs.evolve(measured, version="0.0.1", run_id="older", rounds=(faster,)))
    again = real.vllmd("engine", "compare", *given, "-c", str(real.config))
    assert "its prefix cache knows the prompts" in again.stderr
    keep(tmp_path, attrs.evolve(measured, run_id="another"))
    second = real.vllmd("engine", "compare", *given, "-c", str(real.config))
    assert second.returncode == 1, second.stdout + second.stderr
    assert "go back: worse in answered tokens" in second.stdout
    outcome("another version answers a hundredth of the tokens", "'vllmd engine compare' says so")
