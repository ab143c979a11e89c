from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.site import Site, free_port, site

CONFIG = """
[daemon]
listen = "127.0.0.1:{exporter}"
run_dir = "{folder}/run"
state_dir = "{folder}/state"
log_dir = "{folder}/log"
poll_s = 0.5

[engines.chat]
model = "org/model"
served_model_name = "tiny"
executable = "stand-in"
port = {api}
unready_s = 0
drain_s = 5
stop_grace_s = 5
lora = {{ modules = {{ sql = "/nonexistent/sql" }} }}
restart = {{ initial_s = 0.2, max_s = 1 }}
"""


def config_for(folder: Path, exporter: int, api: int) -> str:
    return CONFIG.format(folder=folder, exporter=exporter, api=api)


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Site]:
    """A site whose engine `chat` serves."""
    exporter, api = free_port(), free_port()
    config = config_for(tmp_path, exporter, api)
    with site(tmp_path, config, exporter_port=exporter, api_port=api) as made:
        made.wait_state("chat", "ready")
        yield made
