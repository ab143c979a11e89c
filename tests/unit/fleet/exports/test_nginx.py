from tests.helpers.make import config
from vllmd.config.fleet import FleetHost
from vllmd.fleet.exports import nginx
from vllmd.fleet.exports.services import services


def test_requests_go_to_another_replica_and_what_that_costs_is_said() -> None:
    made = config('[engines.chat]\nmodel = "tiny"\n')
    text = nginx.text(services(made, [FleetHost("gpu01"), FleetHost("::1")]))
    assert "server gpu01:8000 max_fails=1 fail_timeout=5s;" in text
    assert "server [::1]:8000 " in text
    assert "error timeout http_500 http_502 http_503 non_idempotent;" in text
    assert "# nginx has no active check" in text
    assert text.count("{") == text.count("}")
