import attrs
import pytest

from vllmd.config.fleet import FleetConfig, FleetHost
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError


def fleet(text: str) -> FleetConfig:
    return parse(f"[fleet]\n{text}\n")[0].fleet


def problem(text: str) -> str:
    with pytest.raises(InvalidConfigError) as caught:
        fleet(text)
    return str(caught.value)


def test_hosts_are_names_and_addresses_with_the_usual_port_or_their_own() -> None:
    found = fleet(
        'hosts = ["gpu01", "gpu02:9841", "10.0.0.3", "[2001:db8::1]", "[::1]:9841"]'
    ).hosts
    assert found == (
        FleetHost("gpu01"),
        FleetHost("gpu02", 9841),
        FleetHost("10.0.0.3"),
        FleetHost("2001:db8::1"),
        FleetHost("::1", 9841),
    )
    assert [str(each) for each in found if isinstance(each, FleetHost)] == [
        *("gpu01", "gpu02:9841", "10.0.0.3", "2001:db8::1", "[::1]:9841"),
    ]
    assert FleetHost("::1").netloc == "[::1]:9840"


def test_a_path_names_a_file_of_hosts() -> None:
    assert fleet('hosts = "/etc/vllmd/hosts"').hosts == "/etc/vllmd/hosts"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('hosts = ["-oProxyCommand=reboot"]', "-oProxyCommand=reboot"),
        ('hosts = ["gpu01", "gpu 02"]', "gpu 02"),
        ('hosts = ["gpu01:99999"]', "99999 is no port"),
        ('hosts = ["gpu01:0"]', "0 is no port"),
        ('hosts = ["gpu01", "gpu01:9840"]', "gpu01 is there twice"),
        ("hosts = [7]", "got 7"),
        ('hosts = "gpu01"', "the path of a file of hosts"),
        ('command = "ssh {host} vllmd"', "a list of words"),
        ('command = ["ssh", "vllmd"]', "one of them with {host}"),
        ("min_ready = -1", "0 to 10000"),
        ('name = "two words"', "a name such as prod"),
    ],
)
def test_what_is_no_host_no_command_and_no_name_is_refused_with_the_value(
    text: str, words: str
) -> None:
    assert words in problem(text)


def test_without_a_table_nothing_is_asked_and_one_replica_stays() -> None:
    found = parse("")[0].fleet
    assert (found.name, found.hosts, found.min_ready) == (None, (), 1)
    assert found.command == ("ssh", "{host}", "vllmd")
    assert not found.uses_tls


def test_a_file_of_certificates_means_tls() -> None:
    assert fleet('ca_file = "/etc/ca.pem"').uses_tls
    assert attrs.evolve(FleetConfig(), tls=True).uses_tls
