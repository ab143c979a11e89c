"""Where an engine is reached, and the GPUs that it sees. Pure."""

import re

from vllmd.importing.arguments import flags_of, last_of
from vllmd.importing.launch import Launch
from vllmd.importing.surroundings import Notes
from vllmd.importing.table import EngineTable

DEFAULT_PORT = 8000
"""vLLM's own. Source: vllm/entrypoints/openai/cli_args.py."""
ALL_ADDRESSES = (
    "host: without --host vLLM listens on all addresses, and so it does here; vllmd's default is "
    "127.0.0.1"
)
"""Source: vLLM, api_server.create_server_socket: a host that is not given is ''."""


def set_address(made: EngineTable, launch: Launch) -> None:
    """Let an engine listen where the one before was reached."""
    container = launch.container
    inside = last_of(flags_of(launch.arguments), "port")
    made.own_address = container is not None and not container.host_network
    port = inside if isinstance(inside, int) else DEFAULT_PORT
    of_pod = container is not None and container.cluster and port not in container.published
    if container is None or container.host_network or of_pod:
        if not made.keys.get("host"):
            made.keys["host"] = "0.0.0.0"
            made.reasons["--host"] = ALL_ADDRESSES
            made.remarks.append(ALL_ADDRESSES)
        return
    if port in container.published:
        address, outside = container.published[port]
        made.keys["host"] = address or "0.0.0.0"
        made.keys["port"] = outside
        made.own_address = False
        reason = f"port {port} of the container was published at {address or '*'}:{outside}"
    else:
        made.keys["host"], made.keys["port"] = "127.0.0.1", port
        reason = (
            f"port {port} of the container was not published: only other containers reached "
            'it; if they are to, set host = "0.0.0.0" and let them ask this host'
        )
    made.remarks.append(f"host, port: {reason}")
    made.reasons["--host"] = made.reasons["--port"] = reason


def set_gpus(made: EngineTable, launch: Launch, notes: Notes) -> None:
    """Let an engine see the GPUs that its container was given."""
    given = launch.gpus
    if given is None:
        return
    name = "CUDA_VISIBLE_DEVICES"
    chosen = made.env.get(name)
    if chosen is not None and all(each.strip().isdigit() for each in chosen.split(",") if each):
        numbers = [int(each) for each in chosen.split(",") if each]
        if any(number >= len(given) for number in numbers):
            notes.refuse(
                launch.place,
                f"{name}={chosen} names a GPU that the container was not given: it had "
                f"{len(given)}",
            )
            return
        given = tuple(given[number] for number in numbers)
    for each in given:
        if not re.fullmatch(r"\d+|(GPU|MIG)-[\w/-]+", each):
            notes.refuse(
                launch.place,
                f"the GPU {each!r} has no name that CUDA knows: 'nvidia-smi -L' says its number or "
                "its UUID, and that of a slice (MIG-…): name it so",
            )
            return
    made.env[name] = ",".join(given)
    made.reasons[name] = "the GPUs of the host that the container was given"
    if any(each.isdigit() for each in given):
        made.env.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        made.reasons["CUDA_DEVICE_ORDER"] = (
            "the numbers are those of nvidia-smi, which CUDA counts otherwise where GPUs differ"
        )
