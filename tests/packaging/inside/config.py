"""The configuration of the cases, with the stand-in engine."""

from .tools import CONFIG_PATH

CONFIG = """[engines.chat]
model = "org/model"
served_model_name = "tiny"
executable = "stand-in"
unready_s = 0.5
drain_s = 0
stop_grace_s = 5
env = { VLLMD_STAND_IN_LOAD_S = "0.5", VLLMD_STAND_IN_DEATH_S = "0.3" }
restart = { initial_s = 0.3, max_s = 1 }
"""


def configure(text: str) -> None:
    """Write the configuration; the daemon is not told."""
    with open(CONFIG_PATH, "w") as file:
        file.write(text)
