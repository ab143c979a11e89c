"""The faults: what is done, and by what it is seen that it was done."""

from tests.chaos.faults import daemon, disk, engine, flood, gpu, page
from tests.chaos.faults.base import Fault

FAULTS: tuple[type[Fault], ...] = tuple(
    found for module in (engine, page, daemon, flood, gpu, disk) for found in module.FAULTS
)
BY_NAME = {fault.name: fault for fault in FAULTS}
assert len(BY_NAME) == len(FAULTS), "two faults have one name"
