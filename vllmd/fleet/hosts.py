"""The hosts of `[fleet]`: the list itself, or the lines of the file that it names."""

from vllmd.config.fleet import FleetConfig, FleetHost, parse_hosts
from vllmd.config.rules import RuleError
from vllmd.errors import ConfigError
from vllmd.shim.files import read_regular
from vllmd.util.deadline import call_within
from vllmd.util.units import MIB

MAX_BYTES = MIB


def fleet_hosts(fleet: FleetConfig) -> tuple[FleetHost, ...]:
    """Return the hosts; a file is read now, in a thread with a limit.

    A line of the file is a host; what is behind '#' is left out.
    Raises: ConfigError: the file cannot be read, names no host, or a line is no host.
    """
    if not isinstance(fleet.hosts, str):
        return fleet.hosts
    path = fleet.hosts
    try:
        text = call_within(path, lambda: read_regular(path, MAX_BYTES)).decode()
    except OSError as error:
        raise ConfigError(
            f"fleet.hosts: {path} cannot be read: {error.strerror or error}; write one host a line"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"fleet.hosts: {path} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from None
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    if not any(lines):
        raise ConfigError(f"fleet.hosts: {path} names no host; write one host a line")
    try:
        return parse_hosts(line for line in lines if line)
    except RuleError as error:
        raise ConfigError(f"fleet.hosts: {path} takes {error.expects}") from None
