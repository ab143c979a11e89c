"""What a group's table becomes on each of its hosts, and what is refused."""

import pytest

from tests.helpers.make import config, engine
from vllmd.config import command, group, lora
from vllmd.config.group import ThisHost
from vllmd.config.model import EngineConfig
from vllmd.config.problem import InvalidConfigError

ONE = ThisHost("gpu01", {"lo": ("127.0.0.1",), "eth0": ("10.0.0.1", "fe80::1")})
TWO = ThisHost("gpu02.example.org", {"lo": ("127.0.0.1",), "eth0": ("10.0.0.2",)})
OTHER = ThisHost("web", {"lo": ("127.0.0.1",)})
TENSOR = """
flags.tensor-parallel-size = 16
group = { hosts = ["gpu01", "gpu02"], mode = "tensor", interface = "eth0" }
"""
DATA = """
group = { hosts = ["10.0.0.1", "10.0.0.2:9841"], mode = "data", ranks_per_host = 4, port = 13000 }
"""


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> "Host":
    return Host(monkeypatch)


class Host:
    """Makes the configuration be read on one host or another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def read(self, host: ThisHost, text: str) -> EngineConfig:
        self._monkeypatch.setattr(ThisHost, "look", lambda: host)
        return engine(text)

    def flags(self, host: ThisHost, text: str) -> str:
        return " ".join(command.build(self.read(host, text), {}).argv)


def test_arguments_tensor_each_host_has_its_rank(on: Host) -> None:
    join = "--master-addr gpu01 --master-port 29501 --distributed-executor-backend mp"
    assert f"--nnodes 2 --node-rank 0 {join}" in on.flags(ONE, TENSOR)
    assert "--headless" not in on.flags(ONE, TENSOR)
    assert f"--nnodes 2 --node-rank 1 {join} --headless" in on.flags(TWO, TENSOR)


def test_arguments_data_each_host_begins_where_the_one_before_ends(on: Host) -> None:
    head, member = on.flags(ONE, DATA), on.flags(TWO, DATA)
    both = "--data-parallel-size 8 --data-parallel-size-local 4 --data-parallel-address 10.0.0.1 "
    both += "--data-parallel-rpc-port 13000"
    assert both in head
    assert "--data-parallel-start-rank" not in head
    assert f"{both} --data-parallel-start-rank 4 --headless" in member


def test_arguments_a_member_has_no_flag_of_the_api_server_and_is_configured_alike(on: Host) -> None:
    text = f"flags.api-server-count = 1\nflags.enforce-eager = true\n{DATA}"
    head, member = on.read(ONE, text), on.read(TWO, text)
    assert "--api-server-count 1" in on.flags(ONE, text)
    assert "--api-server-count" not in on.flags(TWO, text)
    assert "--enforce-eager" in on.flags(TWO, text)
    hashes = set()
    for host, each in ((ONE, head), (TWO, member)):
        on.read(host, text)
        # each host receives spans at an address of its own
        built = command.build(each, {}, traces=f"http://{host.name}:4318/v1/traces")
        assert f"--{group.TRACES}" in built.argv
        hashes.add(group.common_hash(each, built.argv, built.own_env))
    assert len(hashes) == 1


def test_api_servers_of_a_data_parallel_head_are_as_many_as_ranks_of_all_hosts(on: Host) -> None:
    assert lora.api_servers(on.read(ONE, DATA)) == 8
    assert lora.api_servers(on.read(ONE, f"flags.api-server-count = 1\n{DATA}")) == 1
    assert lora.api_servers(on.read(ONE, TENSOR)) == 1


@pytest.mark.parametrize(
    ("flags", "count"),
    [
        ("", 1),
        ("flags.data-parallel-size = 1", 1),
        ("flags.data-parallel-size = 4", 4),
        ("flags.data-parallel-size = 4\nflags.data-parallel-size-local = 4", 4),
        ('flags.data-parallel-size = 4\nflags.data-parallel-backend = "mp"', 4),
        ("flags.data-parallel-size = 4\nflags.data-parallel-size-local = 2", 1),
        ('flags.data-parallel-size = 4\nflags.data-parallel-backend = "ray"', 1),
        ("flags.data-parallel-size = 4\nflags.data-parallel-rank = 0", 1),
        ("flags.data-parallel-size = 4\nflags.data-parallel-external-lb = true", 1),
        ("flags.data-parallel-size = 4\nflags.data-parallel-hybrid-lb = true", 1),
        ("flags.data-parallel-size = 4\nflags.data-parallel-start-rank = 2", 1),
        ("flags.data-parallel-size = 4\nflags.data-parallel-multi-port-external-lb = true", 1),
        (DATA, 1),
    ],
)
def test_ranks_behind_one_api_server_are_those_of_one_host(
    on: Host, flags: str, count: int
) -> None:
    assert group.ranks_behind(on.read(ONE, flags)) == count


def test_variables_the_interface_is_told_to_all_libraries(on: Host) -> None:
    env = command.build(on.read(TWO, TENSOR), {}).own_env
    assert env["NCCL_SOCKET_IFNAME"] == env["GLOO_SOCKET_IFNAME"] == "eth0"
    assert env["VLLM_HOST_IP"] == "10.0.0.2"


def test_variables_without_an_interface_an_address_of_the_list_is_used(on: Host) -> None:
    env = command.build(on.read(TWO, DATA), {}).own_env
    assert env["VLLM_HOST_IP"] == "10.0.0.2"
    assert "NCCL_SOCKET_IFNAME" not in env
    by_name = 'group = { hosts = ["gpu01", "gpu02"], mode = "data" }'
    assert "VLLM_HOST_IP" not in command.build(on.read(TWO, by_name), {}).own_env


def test_member_is_every_host_but_the_first(on: Host) -> None:
    assert not group.is_member(on.read(ONE, TENSOR))
    assert group.is_member(on.read(TWO, TENSOR))
    assert not group.is_member(engine())


@pytest.mark.parametrize(
    ("host", "name", "is_meant"),
    [
        (ONE, "gpu01", True),
        (ONE, "GPU01.example.org", True),
        (TWO, "gpu02", True),
        (TWO, "gpu02.example.com", False),
        (ONE, "gpu011", False),
        (ONE, "10.0.0.1", True),
        (ONE, "fe80:0::1", True),
        (ONE, "127.0.0.1", False),
    ],
)
def test_host_is_known_by_its_name_or_an_address(host: ThisHost, name: str, is_meant: bool) -> None:
    assert host.is_called(name) is is_meant


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        (TENSOR.replace("gpu01", "gpu07").replace("gpu02", "gpu08"), "group.hosts", "is none of"),
        (TENSOR.replace("gpu02", "gpu01.example.org"), "group.hosts", "are both this host"),
        (TENSOR.replace("gpu02", "gpu01"), "group.hosts", "gpu01 is there twice"),
        (TENSOR.replace(', "gpu02"', ""), "group.hosts", "two hosts or more"),
        (TENSOR.replace("eth0", "eth7"), "group.interface", "no interface 'eth7': it has eth0"),
        (TENSOR.replace("16", "15"), "group.mode", "is 15, which cannot be spread over 2 hosts"),
        (TENSOR.replace("= 16", "= 1"), "group.mode", "is 1, which"),
        (TENSOR + "flags.nnodes = 2", "flags.nnodes", "is derived from the table group"),
        (DATA + "flags.data-parallel-size = 8", "flags.data-parallel-size", "is derived"),
        (TENSOR + 'env.GLOO_SOCKET_IFNAME = "eth1"', "env.GLOO_SOCKET_IFNAME", "is derived"),
        (TENSOR.replace(', interface = "eth0"', ", ranks_per_host = 2"), "ranks_per_host", "says"),
        (DATA + "preload = true", "preload", "does not go with a group"),
        (DATA + "sleep.level = 1", "sleep", "does not go with a group"),
        (DATA + 'executable = ["vllm", "--nnodes=2"]', "executable", "a flag that the table"),
        (DATA.replace('"data"', '"ray"'), "group.mode", "got 'ray'"),
        ("flags.headless = true", "flags", "[engines.NAME.group] says which host has it"),
    ],
)
def test_problems_say_what_is_wrong_where_and_what_to_do(
    on: Host, text: str, key: str, said: str
) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        on.read(ONE, text)
    found = [p for p in caught.value.problems if said in f"{p.message}; {p.fix}"]
    assert found, caught.value
    assert key in found[0].key
    assert found[0].fix


def test_problems_another_host_is_told_its_own_name(on: Host) -> None:
    with pytest.raises(InvalidConfigError, match="is called 'web' and has no address"):
        on.read(OTHER, TENSOR)


def test_problems_two_groups_need_two_ports(on: Host) -> None:
    on.read(ONE, TENSOR)
    with pytest.raises(InvalidConfigError, match=r"29501 is the port at which .* engines.a join"):
        config(f'[engines.a]\nmodel = "m"\n{TENSOR}[engines.b]\nmodel = "m"\nport = 1\n{TENSOR}')
