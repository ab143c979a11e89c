import json

from tests.helpers.make import config
from vllmd.config.fleet import FleetHost
from vllmd.fleet.exports import prometheus

HOSTS = (FleetHost("gpu01"), FleetHost("::1", 9841))


def test_hosts_are_targets_with_the_fleets_name() -> None:
    fleet = config('[fleet]\nname = "prod"\n').fleet
    files = prometheus.files(fleet, HOSTS)
    assert json.loads(files["vllmd-targets.json"]) == [
        {"targets": ["gpu01:9840", "[::1]:9841"], "labels": {"fleet": "prod"}}
    ]
    assert "scheme" not in files["vllmd-job.yml"]
    assert prometheus.targets(config("").fleet, HOSTS)[0]["labels"] == {}


def test_the_job_asks_as_the_hosts_want() -> None:
    fleet = config('[fleet]\nuser = "u"\npassword_file = "/p"\nca_file = "/ca.pem"\n').fleet
    job = prometheus.files(fleet, HOSTS)["vllmd-job.yml"]
    for words in ("scheme: https", "ca_file: /ca.pem", 'username: "u"', "password_file: /p"):
        assert words in job
