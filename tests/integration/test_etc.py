"""The configurations in etc/ for other programs: complete, and checked by those programs."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helpers.site import needs
from tests.helpers.web import HASH, write
from vllmd.http import web_file
from vllmd.http.web_config import WebConfig
from vllmd.monitoring.alerts import every_alert
from vllmd.monitoring.written import DATASOURCE

ETC = Path(__file__).parents[2] / "etc"
ALERTMANAGER = ETC / "alertmanager" / "alertmanager.yml"
NAMES = {alert.name for alert in every_alert()}


def check(*arguments: str) -> str:
    needs(arguments[0])
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_its_configuration() -> None:
    check("promtool", "check", "config", "--syntax-only", str(ETC / "prometheus/prometheus.yml"))


def test_prometheus_takes_the_lines_for_tls_and_a_password_too(tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yml"
    text = (ETC / "prometheus/prometheus.yml").read_text()
    path.write_text(re.sub(r"(?m)^    # (scheme|tls_config|basic_auth|  \w+)", r"    \1", text))
    job = yaml.safe_load(path.read_text())["scrape_configs"][0]
    assert set(job) == {"job_name", "static_configs", "scheme", "tls_config", "basic_auth"}
    check("promtool", "check", "config", "--syntax-only", str(path))


def test_web_configuration_is_taken_by_prometheus_and_by_vllmd(tmp_path: Path) -> None:
    text = (ETC / "web.yml").read_text()
    path = write(tmp_path, text)
    check("promtool", "check", "web-config", str(path))
    assert web_file.load(path).config == WebConfig()
    text = re.sub(r"(?m)^#(\w+:$|  \w)", r"\1", text).replace("$2y$10$...", HASH)
    for ours, theirs in (("web", "server"), ("clients-ca", "authority")):
        text = text.replace(f" {ours}.", f" {theirs}.")
    path.write_text(text)
    check("promtool", "check", "web-config", str(path))
    config = web_file.load(path).config
    assert config.tls
    assert config.tls.client_ca_file == "authority.pem"
    assert list(config.users) == ["prometheus"]


def test_scrape_config_of_the_operator_finds_the_pods_that_ask_for_it(tmp_path: Path) -> None:
    folder = ETC.parent / "packaging" / "container" / "kubernetes"
    spec = yaml.safe_load((folder / "scrape-config.yaml").read_text())["spec"]
    relabel = [
        {re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", key): value for key, value in each.items()}
        for each in spec["relabelings"]
    ]
    pod = {
        "__meta_kubernetes_pod_label_app_kubernetes_io_name": "vllmd",
        "__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
        "__meta_kubernetes_pod_annotation_prometheus_io_port": "9840",
        "__meta_kubernetes_pod_ip": "10.0.0.7",
        "__meta_kubernetes_pod_name": "vllmd-0",
    }
    other = {**pod, "__meta_kubernetes_pod_label_app_kubernetes_io_name": "other"}
    # Debian's Prometheus is built without discovery by Kubernetes: Pods as that describes them
    found = [{"targets": ["10.0.0.7:8000"], "labels": labels} for labels in (pod, other)]
    job = {"job_name": spec["jobName"], "static_configs": found, "relabel_configs": relabel}
    path = tmp_path / "prometheus.yml"
    path.write_text(yaml.safe_dump({"scrape_configs": [job]}))
    said = check("promtool", "check", "service-discovery", "--timeout=1s", str(path), "vllmd")
    kept = [each["labels"] for each in json.loads(said) if each.get("labels")]
    assert [each["__address__"] for each in kept] == ["10.0.0.7:9840"]
    assert kept[0]["pod"] == "vllmd-0"
    assert [each["role"] for each in spec["kubernetesSDConfigs"]] == ["Pod"]


def test_alertmanager_takes_its_configuration() -> None:
    assert "3 receivers" in check("amtool", "check-config", str(ALERTMANAGER))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ("alertname=VllmdWatchdog severity=none", "dead-mans-switch"),
        ("alertname=VllmdDown severity=critical", "pager"),
        ("alertname=VllmdDiskFull severity=warning", "team"),
    ],
)
def test_alerts_are_routed_to(labels: str, receiver: str) -> None:
    routed = check(
        "amtool", "config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels.split()
    )
    assert routed.strip() == receiver


def alternatives(expression: str) -> list[str]:
    """Return the names, or beginnings of names, that `A|B.+` or `A(b|c)` stands for."""
    grouped = re.fullmatch(r"(\w+)\((.*)\)", expression)
    if grouped is None:
        return expression.split("|")
    return [grouped[1] + word for word in grouped[2].split("|")]


SOURCES = {alert.name: alert.expr for alert in every_alert()}
OWN_LABELS = {"models": "VllmdReplicasNone", "scraped": "VllmdDown"}
"""Labels that a rule itself makes."""


def test_every_inhibition_is_of_alerts_that_exist() -> None:
    for rule in yaml.safe_load(ALERTMANAGER.read_text())["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            name, operator, value = matcher.split(" ", 2)
            value = value.strip('"')
            if name in OWN_LABELS:
                assert not value or f'"{name}", "{value}"' in SOURCES[OWN_LABELS[name]]
                continue
            assert name == "alertname"
            if operator == "=~" and value != "Vllmd.+":
                for each in alternatives(value):
                    assert any(re.fullmatch(each, known) for known in NAMES), each
            elif operator in ("=", "!="):
                assert value in NAMES


def test_grafana_is_given_what_the_rest_relies_on() -> None:
    folder = ETC / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources/vllmd.yml").read_text())["datasources"]
    assert source["uid"] == DATASOURCE
    assert source["isDefault"] is False, "with two a Grafana does not start"
    (provider,) = yaml.safe_load((folder / "dashboards/vllmd.yml").read_text())["providers"]
    assert provider["options"]["path"] in (ETC.parent / "docs" / "monitoring.md").read_text()
