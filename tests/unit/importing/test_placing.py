"""Where an engine is reached, and the GPUs that it sees."""

import pytest

from vllmd.importing.launch import Container, Launch
from vllmd.importing.placing import set_address, set_gpus
from vllmd.importing.surroundings import Notes
from vllmd.importing.table import EngineTable
from vllmd.importing.unknown import Place


def launch(*arguments: str, gpus: tuple[str, ...] | None = None, **container: object) -> Launch:
    made = Container(image="i", **container) if container else None  # type: ignore[arg-type]
    program, place = ("vllm",), Place("x", 1)
    return Launch(program=program, arguments=arguments, place=place, container=made, gpus=gpus)


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (launch("m"), {"host": "0.0.0.0"}),
        (launch("m", host_network=True), {"host": "0.0.0.0"}),
        (launch("m", cluster=True), {"host": "0.0.0.0"}),
        (launch("m", published={8000: ("", 80)}), {"host": "0.0.0.0", "port": 80}),
        (launch("m", published={8000: ("::1", 80)}), {"host": "::1", "port": 80}),
        (launch("m", "--port", "9", published={8000: ("", 80)}), {"host": "127.0.0.1", "port": 9}),
    ],
)
def test_engine_listens_where_the_one_before_was_reached(
    given: Launch, keys: dict[str, object]
) -> None:
    made = EngineTable()
    set_address(made, given)
    assert made.keys == keys
    assert made.reasons["--host"]


@pytest.mark.parametrize(
    ("chosen", "seen"), [(None, "2,5"), ("1", "5"), ("GPU-x", "2,5"), ("", "")]
)
def test_gpus_are_those_of_the_host(chosen: str | None, seen: str) -> None:
    made, notes = EngineTable(), Notes()
    if chosen is not None:
        made.env["CUDA_VISIBLE_DEVICES"] = chosen
    set_gpus(made, launch("m", gpus=("2", "5")), notes)
    assert made.env["CUDA_VISIBLE_DEVICES"] == seen
    assert notes.problems == []


def test_gpu_that_the_container_was_not_given_is_refused() -> None:
    made, notes = EngineTable(env={"CUDA_VISIBLE_DEVICES": "2"}), Notes()
    set_gpus(made, launch("m", gpus=("2", "5")), notes)
    assert "was not given: it had 2" in notes.problems[0].text


def test_port_of_the_host_that_a_pod_has_is_the_engines() -> None:
    made = EngineTable()
    set_address(made, launch("m", cluster=True, published={8000: ("", 8080)}))
    assert made.keys == {"host": "0.0.0.0", "port": 8080}


@pytest.mark.parametrize("gpu", ["0:1", "amd.com/gpu=1", "none"])
def test_gpu_without_a_name_that_cuda_knows_is_refused(gpu: str) -> None:
    notes, made = Notes(), EngineTable()
    set_gpus(made, launch("m", gpus=(gpu,)), notes)
    assert len(notes.problems) == 1
    assert not made.env
