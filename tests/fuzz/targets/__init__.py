"""All targets, by name."""

from collections.abc import Mapping
from types import MappingProxyType

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    configuration,
    engine_pages,
    grpc,
    history,
    importers,
    logs,
    otlp,
    peers,
    probes,
    servers,
    shim,
    state_files,
    tensors,
)

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        target.name: target
        for target in (
            configuration.TARGET,
            importers.TARGET,
            otlp.PROTOBUF,
            otlp.JSON,
            grpc.TARGET,
            *servers.TARGETS,
            engine_pages.TARGET,
            logs.TARGET,
            shim.TARGET,
            state_files.TARGET,
            history.TARGET,
            tensors.TARGET,
            peers.TARGET,
            probes.TARGET,
        )
    }
)
