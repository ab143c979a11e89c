"""The files of packaging/container: valid, and with the numbers and names that vllmd has."""

import configparser
import copy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.container.image import instructions
from vllmd.config import variable_names
from vllmd.config.load import parse
from vllmd.config.model import Config, EngineConfig
from vllmd.config.stop_time import longest_stop_s
from vllmd.http.access import is_readiness
from vllmd.installing.plan import VERSION

FOLDER = Path(__file__).parents[2] / "packaging" / "container"
KUBERNETES = FOLDER / "kubernetes"
VERSIONS = ("1.30", "1.33", kubernetes_validate.latest_version())
USER = dict(instructions())["USER"]
WRITABLE = {"/run/vllmd", "/var/lib/vllmd", "/var/log/vllmd", "/models"}


def resources() -> dict[str, Any]:
    found = yaml.safe_load_all((KUBERNETES / "vllmd.yaml").read_text())
    return {each["kind"]: each for each in found}


def pod() -> Any:
    return resources()["Deployment"]["spec"]["template"]


def container() -> Any:
    (only,) = pod()["spec"]["containers"]
    return only


def compose() -> Any:
    return yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["vllmd"]


def quadlet() -> dict[str, list[str]]:
    """Return the keys of a unit's sections, each with all of its values."""
    found: dict[str, list[str]] = {}
    for line in (FOLDER / "vllmd.container").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def configured(given: dict[str, str], source: str = "") -> Config:
    config, problems = parse(source, env=given)
    assert problems == []
    return config


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["ConfigMap", "PersistentVolumeClaim", "Deployment", "Service"])
def test_manifest_is_what_the_schema_of_kubernetes_has(kind: str, version: str) -> None:
    kubernetes_validate.validate(resources()[kind], version, strict=True)


def test_manifest_with_a_key_of_none_is_refused_by_the_schema() -> None:
    broken = copy.deepcopy(resources()["Deployment"])
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_grace_periods_are_what_a_drain_takes() -> None:
    given = {each["name"]: each["value"] for each in container()["env"]}
    config = configured(given, resources()["ConfigMap"]["data"]["vllmd.toml"])
    needed_s = longest_stop_s(config.engines.values())
    assert pod()["spec"]["terminationGracePeriodSeconds"] == needed_s
    needed_s = longest_stop_s(configured(compose()["environment"]).engines.values())
    assert compose()["stop_grace_period"] == f"{needed_s:g}s"
    unit = quadlet()
    given = dict(each.split("=") for each in unit["Environment"])
    needed_s = longest_stop_s(configured(given).engines.values())
    assert float(unit["StopTimeout"][0]) == needed_s
    assert float(unit["TimeoutStopSec"][0]) > needed_s


def test_documentation_says_what_a_stop_takes() -> None:
    text = " ".join((FOLDER.parents[1] / "docs" / "container.md").read_text().split())
    plain, kept = EngineConfig("a", "m"), EngineConfig("a", "m", preload=True)
    said = (longest_stop_s([plain]), longest_stop_s([kept]))
    assert f"{said[0]:g} s by default, {said[1]:g} with `preload`" in text


def test_liveness_takes_a_daemon_for_dead_later_than_it_is_late() -> None:
    probe = container()["livenessProbe"]
    # a daemon that stands still is killed by its own watchdog where there is one, after a minute
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 60
    assert probe["timeoutSeconds"] <= probe["periodSeconds"]
    assert "preStop" not in str(container())  # SIGTERM turns readiness red, and waits unready_s


def test_engine_is_reached_from_outside_at_the_port_that_is_published() -> None:
    given = {each["name"]: each["value"] for each in container()["env"]}
    deployed = configured(given, resources()["ConfigMap"]["data"]["vllmd.toml"])
    for config in (deployed, configured(compose()["environment"])):
        (engine,) = config.engines.values()
        assert (engine.host, engine.port) == ("0.0.0.0", 8000)
    ports = {each["name"]: each["containerPort"] for each in container()["ports"]}
    assert ports == {"api": 8000, "metrics": Config().daemon.listen[1]}
    assert {each["targetPort"] for each in resources()["Service"]["spec"]["ports"]} == set(ports)
    assert dict(instructions())["EXPOSE"].split() == [str(ports["api"]), str(ports["metrics"])]


@pytest.mark.parametrize(
    ("probe", "path"),
    [
        ("startupProbe", "/-/started"),
        ("readinessProbe", "/-/ready"),
        ("livenessProbe", "/-/healthy"),
    ],
)
def test_probe_asks_what_it_is_for_at_the_exporters_port(probe: str, path: str) -> None:
    asked = container()[probe]["httpGet"]
    assert asked == {"path": path, "port": "metrics"}
    assert is_readiness(path)  # no password is asked of it with daemon.open_readiness


def test_red_readiness_is_seen_before_the_drain() -> None:
    probe = container()["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < EngineConfig("a", "m").unready_s


def test_root_is_read_only_and_all_that_is_written_to_is_a_volume() -> None:
    assert container()["securityContext"]["readOnlyRootFilesystem"]
    mounts = {each["mountPath"] for each in container()["volumeMounts"]}
    assert WRITABLE | {"/tmp", "/dev/shm"} <= mounts
    declared = set(yaml.safe_load(dict(instructions())["VOLUME"]))
    assert declared == WRITABLE
    service = compose()
    places = {each.split(":")[0] for each in service["tmpfs"]}
    places |= {each.split(":")[1] for each in service["volumes"]}
    assert service["read_only"]
    assert WRITABLE | {"/tmp"} == places
    unit = quadlet()
    places = {each.split(":")[0] for each in unit["Tmpfs"]}
    places |= {each.split(":")[1] for each in unit["Volume"]}
    assert unit["ReadOnly"] == ["true"]
    assert WRITABLE | {"/tmp"} == places


def test_user_is_the_images_and_no_root() -> None:
    security = pod()["spec"]["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == USER
    assert security["runAsNonRoot"]
    assert f"uid={security['runAsUser']}" in quadlet()["Secret"][0]


def test_containerfile_variables_are_read_by_vllmd() -> None:
    env = dict(rest.partition("=")[::2] for word, rest in instructions() if word == "ENV")
    assert configured(env).logs.stdout
    assert variable_names.any_given(env)
    text = (FOLDER / "Containerfile").read_text()
    assert f"vllm-openai:v{VERSION}\n" in text


def test_monitors_find_the_pod_and_its_port() -> None:
    monitor = yaml.safe_load((KUBERNETES / "pod-monitor.yaml").read_text())["spec"]
    labels = pod()["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"] == labels
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in {each["name"] for each in container()["ports"]}
    annotations = pod()["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(Config().daemon.listen[1])
    assert annotations["prometheus.io/path"] == endpoint["path"]


def test_quadlet_is_a_unit_that_systemd_reads() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string((FOLDER / "vllmd.container").read_text())
    assert parser.sections() == ["Unit", "Container", "Service", "Install"]
