"""Services of compose files; the corpus in tests/launchers has whole ones."""

from tests.helpers.launchers import GivenFiles
from vllmd.importing.containers.compose import is_compose, specs_of_compose
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.yaml_values import documents

PATH = "/srv/app/compose.yaml"


def read(
    service: str, notes: Notes | None = None, files: dict[str, str] | None = None
) -> ContainerSpec:
    text = f"services:\n  vllm:\n    image: vllm/vllm-openai:v0.25.1\n{service}"
    (table,) = documents(text, PATH)
    assert is_compose(table)
    around = Surroundings(GivenFiles(files or {}))
    (spec,) = specs_of_compose(table, PATH, (), around, notes or Notes())
    return spec


def test_volumes_are_seen_from_the_folder_of_the_file() -> None:
    spec = read("    volumes: [./a:/b, {type: bind, source: ../c, target: /d}]\n")
    assert [each.outside for each in spec.mounts] == ["/srv/app/a", "/srv/c"]


def test_gpus_are_those_that_are_reserved() -> None:
    devices = "    deploy: {resources: {reservations: {devices: [{count: 2}]}}}\n"
    assert read(devices).gpus == ("0", "1")
    assert read("    gpus: all\n").gpus is None
    assert read("    devices: [nvidia.com/gpu=3]\n").gpus == ("3",)


def test_variables_of_files_and_of_the_service() -> None:
    files = {"/srv/app/.env": "X=1\n", "/srv/app/a.env": "A=$X\nB=2\n"}
    spec = read("    env_file: [a.env]\n    environment: [B=3, X]\n", files=files)
    assert spec.variables == {"A": "1", "B": "3", "X": "1"}


def test_what_cannot_be_followed_is_refused_with_its_line() -> None:
    notes = Notes()
    read("    env_file: no.env\n    scale: 2\n    extends: {service: none}\n", notes)
    assert [str(each).split(":", 2)[1] for each in sorted(notes.problems)] == ["3", "4", "6"]


def test_keys_that_are_of_the_container_are_said() -> None:
    spec = read("    mem_limit: 8g\n    ipc: host\n    x-y: 1\n    user: '1000'\n")
    assert [each.split(":")[0] for each in spec.remarks] == ["ipc", "user", "left out"]


def test_profiles_of_the_file_of_variables_are_taken() -> None:
    files = {"/srv/app/.env": "COMPOSE_PROFILES=a,gpu\n"}
    assert read("    profiles: [gpu]\n", files=files).name == "vllm"
    notes = Notes()
    read("    tty: true\n", notes, {"/srv/app/.env": "COMPOSE_FILE=a.yaml:b.yaml\n"})
    assert str(notes.problems[0]).startswith("/srv/app/.env:1: COMPOSE_FILE names the files")


def test_configs_are_files_of_the_container() -> None:
    text = "    configs: [a, {source: b, target: /etc/b.yaml}]\n"
    text += "configs: {a: {file: ./a.yaml}, b: {content: 'port: 1'}}\n"
    spec = read(text)
    assert [(each.inside, each.outside) for each in spec.mounts] == [("/a", "/srv/app/a.yaml")]
    assert spec.files == {"/etc/b.yaml": "port: 1"}


def test_network_of_another_service_is_refused() -> None:
    notes = Notes()
    read("    network_mode: service:vpn\n", notes)
    assert "publishes the ports: write them here" in notes.problems[0].text


def test_gpus_of_several_reservations_are_all_given() -> None:
    devices = "[{device_ids: ['0']}, {device_ids: ['2,3']}]"
    spec = read(f"    deploy: {{resources: {{reservations: {{devices: {devices}}}}}}}\n")
    assert spec.gpus == ("0", "2", "3")
