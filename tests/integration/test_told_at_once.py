"""What is known of a start that will fail is told while it still loads, which may take minutes."""

import json
from pathlib import Path

from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.site import site, wait_for
from tests.integration.conftest import config_for

PRINTS = """#!/bin/sh
[ "$1" = serve ] || exit 0
P='(Worker pid=7) ERROR 11-23 18:48:07 [multiproc_executor.py:1063]'
echo "$P WorkerProc hit an exception."
echo "$P Traceback (most recent call last):"
echo "$P   File '/opt/vllm/lora/peft_helper.py', line 196, in validate_legal"
echo "$P ValueError: LoRA rank 32 is greater than max_lora_rank 16."
exec sleep 600
"""


def test_start_that_will_fail_is_told_of_while_it_still_loads(
    tmp_path: Path, outcome: Outcome
) -> None:
    program = tmp_path / "vllm"
    program.write_text(PRINTS)
    program.chmod(0o755)
    exporter, api = free_port(), free_port()
    text = config_for(tmp_path, exporter, api).replace("load_stall_s = 2", "load_stall_s = 60")
    text = text.replace('"stand-in"', f'"{program}"')
    with site(tmp_path, text, exporter_port=exporter, api_port=api) as made:
        wait_for(
            "a word of it",
            lambda: "will probably fail" in made.vllmd("why", "chat").stdout,
        )
        (told,) = json.loads(made.vllmd("why", "chat", "--json").stdout)
        assert told["state"] == "loading"
        assert "(cause: lora_rank)" in told["why"]
        assert any("LoRA rank 32" in line for line in told["evidence"])
        wait_for(
            "the daemon's own look at it",  # 'vllmd why' reads the log itself
            lambda: "chat: will probably fail: " in made.vllmd("status").stdout,
        )
        assert 'vllmd_engine_doubt_info{check="output"' in made.metrics()
    outcome("a start that prints its cause and does not end", "told while it loads")
