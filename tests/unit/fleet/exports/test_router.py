from tests.helpers.make import config
from vllmd.config.fleet import FleetHost
from vllmd.fleet.exports import router
from vllmd.fleet.exports.services import services


def test_router_has_no_circuit_breaker_and_a_follower_beside_it() -> None:
    made = config('[engines.chat]\nmodel = "org/tiny"\n')
    files = router.files(services(made, [FleetHost("gpu01"), FleetHost("gpu02")]))
    assert list(files) == ["vllm-router-org-tiny.service", "vllmd-follow-router-org-tiny.service"]
    unit, follower = files.values()
    assert "--disable-circuit-breaker" in unit
    assert "--worker-urls http://gpu01:8000 http://gpu02:8000" in unit
    assert "vllmd fleet follow-router chat --router http://127.0.0.1:8080" in follower
