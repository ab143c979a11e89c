"""What one service says; tests/unit/importing/containers/test_compose.py has whole files."""

import pytest

from tests.unit.importing.containers.test_compose import read
from vllmd.importing.surroundings import Notes


@pytest.mark.parametrize(
    ("names", "gpus"),
    [("nvidia.com/gpu=1", ("1",)), ("nvidia.com/gpu=all", None), ("0,2", ("0", "2"))],
)
def test_gpus_may_have_names_of_cdi(names: str, gpus: tuple[str, ...] | None) -> None:
    device = f'{{driver: cdi, device_ids: ["{names}"]}}'
    assert (
        read(f"    deploy: {{resources: {{reservations: {{devices: [{device}]}}}}}}\n").gpus == gpus
    )


def test_gpus_of_a_swarm_and_files_of_devices_are_said() -> None:
    spec = read(
        "    devices: [/dev/dri/renderD129, /dev/kfd]\n"
        "    deploy: {placement: {x: y}, resources: {reservations: {generic_resources: []}}}\n"
    )
    said = "\n".join(spec.remarks)
    assert "devices: /dev/dri/renderD129: one GPU of the host: set env.HIP_VISIBLE_DEVICES" in said
    assert "kfd" not in said
    assert "left out: deploy.placement" in said
    assert "left out: deploy.resources.reservations.generic_resources" in said


def test_entrypoint_that_is_cleared_is_none() -> None:
    assert read("    entrypoint: []\n").entrypoint == []
    assert read('    entrypoint: ""\n').entrypoint == []
    assert read("    command: x\n").entrypoint is None


def test_variables_of_a_raw_file_are_as_they_are() -> None:
    files = {"/srv/app/a.env": "A='x' # y\n"}
    assert read("    env_file: [{path: a.env, format: raw}]\n", Notes(), files).variables == {
        "A": "'x' # y"
    }
    assert read("    env_file: a.env\n", Notes(), files).variables == {"A": "x"}
