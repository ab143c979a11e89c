"""The picture of an end: an engine's core is killed, vllmd says why, and it serves again."""

from pathlib import Path

from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, WITH_OUR_TOOLS, Load, Site, running, wait_for
from tools.pictures.folder import made_folder
from tools.pictures.terminal import Terminal

COLUMNS = 100
CONFIG = (
    DAEMON
    + """poll_s = 0.5

[gpu]
source = "demo"

[engines.chat]
model = "stand-in/tiny"
served_model_name = "tiny"
executable = "stand-in"
port = {api}
max_model_len = 4096
unready_s = 0
restart = {{ initial_s = 1, max_s = 2 }}
"""
)


def draw(folder: Path) -> None:
    """Write why.svg."""
    with made_folder() as place:
        exporter, api = free_port(), free_port()
        text = CONFIG.format(folder=place, exporter=exporter, api=api)
        made = Site(place, text, exporter_port=exporter, api_port=api)
        with running(made):
            (folder / "why.svg").write_text(_drawn(made))


def _drawn(made: Site) -> str:
    terminal = Terminal(COLUMNS, {"VLLMD_CONFIG": str(made.config), "PATH": WITH_OUR_TOOLS})
    before = made.wait_state("chat", "ready")
    with Load(made, clients=6, tokens=120):
        _figures(made)
        core = made.process("chat", "VLLM::EngineCore").pid
        terminal.run(f"kill -9 {core}   # VLLM::EngineCore, in the middle of six requests")
        made.wait_new_run("chat", before, 60)
        _figures(made)
        terminal.run("vllmd why")
        terminal.run("vllmd status")
    return terminal.svg("why", "gpu-01")


def _figures(made: Site) -> None:
    """Wait until every figure of the engine is known."""

    def known() -> bool:
        (engine,) = made.control.status()["engines"]
        return all(engine[key] is not None for key in ("tokens_per_s", "ttft_p95_s", "itl_p95_s"))

    wait_for("figures of the engine", known, 60)
