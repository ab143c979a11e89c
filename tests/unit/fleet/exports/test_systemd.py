from tests.helpers.make import config
from vllmd.config.fleet import FleetHost
from vllmd.fleet.exports import systemd
from vllmd.fleet.exports.services import services


def test_a_unit_and_a_timer_restart_a_model_in_a_quiet_hour() -> None:
    two = '[engines.a]\nmodel = "tiny"\n[engines.b]\nmodel = "tiny"\nport = 8001\n'
    files = systemd.files(services(config(two), [FleetHost("gpu01")]))
    assert list(files) == ["vllmd-fleet-restart-tiny.service", "vllmd-fleet-restart-tiny.timer"]
    unit, timer = files.values()
    assert "ExecStart=/usr/bin/vllmd fleet restart tiny\n" in unit
    assert "OnCalendar=Sun 04:00" in timer
    one = systemd.files(services(config(two.partition("[engines.b]")[0]), [FleetHost("x")]))
    assert "fleet restart a\n" in one["vllmd-fleet-restart-tiny.service"]
