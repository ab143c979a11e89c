import pytest

from tests.helpers.make import config
from vllmd.config.memory import overcommitted


def of(*engines: str) -> list[tuple[list[str], float]]:
    text = "".join(
        f'[engines.e{n}]\nmodel = "m"\nport = {8000 + n}\n{lines}\n'
        for n, lines in enumerate(engines)
    )
    return list(overcommitted(config(text).engines))


def share(value: float, gpus: str | None = None) -> str:
    env = "" if gpus is None else f'env = {{ CUDA_VISIBLE_DEVICES = "{gpus}" }}'
    return f"gpu_memory_utilization = {value}\n{env}"


@pytest.mark.parametrize(
    ("engines", "found"),
    [
        ((share(0.6), share(0.6)), [(["e0", "e1"], 1.2)]),
        ((share(0.5), share(0.5)), []),
        ((share(0.9, "0"), share(0.9, "1")), []),
        ((share(0.9, "0, 1"), share(0.9, "1,2")), [(["e0", "e1"], 1.8)]),
        ((share(0.3), ""), [(["e0", "e1"], 1.22)]),
        (("", ""), []),
        ((share(0.9), 'executable = "stand-in"'), []),
        ((share(0.6, "0,1"), share(0.6, "0,1")), [(["e0", "e1"], 1.2)]),
        ((share(0.9, ""), share(0.9, "")), []),
    ],
)
def test_crowded(engines: tuple[str, ...], found: list[tuple[list[str], float]]) -> None:
    assert of(*engines) == found
