from tests.helpers.make import config
from vllmd.config.fleet import FleetHost
from vllmd.fleet.exports import haproxy
from vllmd.fleet.exports.services import services

HOSTS = (FleetHost("gpu01"), FleetHost("gpu02", 9841))
CHAT = '[engines.chat]\nmodel = "tiny"\n'


def text(source: str, *, open_readiness: bool = False) -> str:
    made = config(source)
    return haproxy.text(made.fleet, services(made, HOSTS), open_readiness=open_readiness)


def test_replicas_are_asked_by_vllmds_page_each_second() -> None:
    lines = [line.strip() for line in text(CHAT).splitlines()]
    assert "option httpchk GET /ready/chat" in lines
    assert "default-server check inter 1s fall 1 rise 1 init-addr last,libc,none" in lines
    assert "server gpu01:chat gpu01:8000 port 9840" in lines
    assert "server gpu02:chat gpu02:8000 port 9841" in lines


def test_several_engines_of_a_host_are_asked_by_their_names() -> None:
    more = '[engines.a]\nmodel = "tiny"\nport = 8001\n[engines.b]\nmodel = "tiny"\n'
    assert "http-check send meth GET uri-lf /ready/%[srv_name,field(-1,:)]" in text(more)
    assert "option httpchk GET" not in text(more)


def test_tls_and_a_password_are_asked_with_and_the_secret_is_not_written() -> None:
    fleet = '[fleet]\nuser = "u"\npassword_file = "/p"\nca_file = "/ca.pem"\n'
    made = text(fleet + CHAT)
    assert "check-ssl verify required ca-file /ca.pem" in made
    assert 'uri /ready/chat hdr Authorization "Basic ${VLLMD_FLEET_LOGIN}"' in made
    assert "Authorization" not in text(fleet + CHAT, open_readiness=True)
    assert "ca-file @system-ca" in text("[fleet]\ntls = true\n" + CHAT)


def test_an_engine_that_turns_red_too_late_is_named() -> None:
    assert "engines.chat.unready_s is 0.5" in text(CHAT + "unready_s = 0.5\n")
    assert "unready_s" not in text(CHAT)
