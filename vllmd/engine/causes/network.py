"""The network: the engine's ports, the GPUs and hosts that talk to each other."""

import re

from vllmd.engine.causes import accelerators
from vllmd.engine.causes.base import Cause, Found, Frame, Kind, Rank, Told


def _port(found: Found) -> Told:
    at = re.search(r"bind on address \('([^']*)', (\d+)", found.whole)
    if at:
        return Told(
            f"'ss -ltnp sport = :{at[2]}' names what listens on it. Leave it if it is this engine, "
            "lost by vllmd and serving; else end it, or set port."
        )
    inner = found.sign.thrown and any("open_port" in name for name in found.sign.thrown.functions)
    if inner or re.search(r"server socket has failed to listen|zmq", found.whole):
        return Told(
            "Start again: a port between vLLM's processes was taken meanwhile, not the "
            "engine's own. "
            "If it comes again, set VLLM_PORT in its env to a range that nobody uses."
        )
    return Told()


def _peer(found: Found) -> Told:
    peer = re.search(r"\[?(\d+\.\d+\.\d+\.\d+)\]?:\d+|connect to \[?\(?([\w.:-]+?),? ", found.whole)
    if peer is None:
        return Told()
    host = peer[1] or peer[2]
    return Told(f"Look at the engine on {host}: it ended first, or cannot be reached from here.")


def _transfer(found: Found) -> Told:
    if re.search(r"not available|not installed|No module named", found.whole):
        return Told(
            "Install what the connector needs (nixl, mooncake, lmcache) into the engine's "
            "environment.",
            "The program that hands KV caches on is not installed.",
            Kind.CONFIGURATION,
        )
    return Told()


def _reduced(found: Found) -> Told:
    if re.search(r"illegal memory access|unspecified launch failure|timed out", found.whole):
        return Told(kind=Kind.TRANSIENT)  # of any call before it
    return Told()


def _collectives(found: Found) -> Told:
    """Name the variable by which the library of that maker says more."""
    if re.search(r"oneCCL|CCL_ERROR", found.whole):
        missing = "open failed" in found.whole
        return Told(
            "Let the engine have all of its GPUs (docker: --device /dev/dri), and set CCL_ZE_IPC_"
            "EXCHANGE=sockets in its env."
            if missing
            else "Run the engine with CCL_LOG_LEVEL=info in its env: oneCCL says then what failed."
        )
    if re.search(r"(?i:hccl)", found.whole):
        return Told(
            "Look at 'hccn_tool' and at the links of the NPUs; ASCEND_GLOBAL_LOG_LEVEL=1 and "
            "ASCEND_SLOG_PRINT_TO_STDOUT=1 in the engine's env say more."
        )
    return Told()


def _ray(found: Found) -> Told:
    if "unique IP address" in found.whole:
        return Told(
            "Give each host an address of its own: set VLLM_HOST_IP in each engine's env.",
            "Two of the hosts in Ray's cluster have the same address for vLLM.",
            Kind.CONFIGURATION,
        )
    if re.search(r"GCS|Ray instance|[Rr]aylet|node_ip_address|ray instance", found.whole):
        return Told(
            "Look at 'ray status' on this host: Ray's head has to run before the engine, and "
            "RAY_ADDRESS has to be its address.",
            "Ray's cluster is not started, or does not answer.",
        )
    if "untime env" in found.whole:
        return Told(
            "Look at /tmp/ray/session_latest/logs/runtime_env_setup-*.log on the host.",
            "Ray could not prepare what its processes run in.",
        )
    if re.search(r"exceeds the total|number of required", found.whole):
        return Told(kind=Kind.CONFIGURATION)
    return Told()


CAUSES = (
    Cause(
        name="zmq_port_in_use",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation="A port that vLLM's processes talk over was taken by another process.",
        advice="Start again; if it comes again, set another master_port or data_parallel_rpc_port.",
        signs={r"ZMQError: Address already in use": "pyzmq; vllm/utils/network_utils.py"},
    ),
    Cause(
        name="port_in_use",
        kind=Kind.TRANSIENT,
        rank=Rank.HOST,
        explanation="Another process listens on a port that the engine needs.",
        advice="See who it is (ss -ltnp). Leave it if it is this engine, lost by vllmd and "
        "serving; else end it, or give the engine another port.",
        signs={
            r"\[Errno 98\]|EADDRINUSE": "the kernel; torch: TCPStore",
            r"[Aa]ddress already in use": "uvicorn, the kernel",
            r"Port \d+ is already in use": "vllm/utils/network_utils.py since 0.9",
        },
        unless=r"ZMQError",
        told=_port,
    ),
    Cause(
        name="custom_all_reduce",
        kind=Kind.CONFIGURATION,
        rank=Rank.STATED,
        explanation="vLLM's own all-reduce between GPUs does not work on this host.",
        advice="Set disable_custom_all_reduce = true.",
        signs={
            r"peer access is not supported between these": "CUDA: cudaErrorPeerAccessUnsupported",
            r"custom_all_reduce\.cuh|custom_all_reduce.*(?:invalid|error|failed)": (
                "vllm: csrc/custom_all_reduce.cuh since 0.2"
            ),
        },
        frames=(
            Frame(
                r"(?:custom_all_reduce|_custom_ops)\.py:(?:register_graph_buffers|init_custom_ar"
                r"|register_buffer|open_mem_handle|create_shared_buffer)",
                r"(?:RuntimeError|AcceleratorError)\b",
                "vllm/distributed/device_communicators/custom_all_reduce.py since 0.3",
            ),
        ),
        unless=r"out of memory",
        told=_reduced,
    ),
    Cause(
        name="ray_resources",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation="Ray has not the GPUs, or not the nodes, that the engine asks it for.",
        advice="Look at 'ray status': which nodes there are, and who has their GPUs.",
        told=_ray,
        signs={
            r"Current node has no \w+ available": "vllm/v1/executor/ray_utils.py since 0.6",
            r"[Pp]lacement group.*(?:[Tt]imed? ?out|not ready|cannot|[Cc]annot provide|exceeds"
            r"|pending)": ("vllm/v1/executor/ray_utils.py since 0.4"),
            r"placement group bundle index \d+ is invalid": "ray/util/scheduling_strategies.py",
            r"Cannot provide a placement group": "vllm/v1/executor/ray_utils.py since 0.4",
            r"required GPUs exceeds the total number|number of required \S+ exceeds": (
                "vllm/v1/executor/ray_utils.py since 0.2"
            ),
            r"Ray does not allocate any GPUs": "vllm/executor/ray_distributed_executor.py "
            "0.4 to 0.10",
            r"[Nn]ot enough (?:resources|nodes).*[Rr]ay|can't (?:be )?schedul"
            r"|cannot be scheduled": ("Ray"),
            r"Could not find any running Ray instance|(?:connect to|waiting for) GCS": "Ray",
            r"Unable to register worker with raylet|Failed to register worker": (
                "Ray: src/ray/core_worker/core_worker.cc"
            ),
            r"ray instance hasn't started|RuntimeEnvSetupError": "Ray: _private/node.py",
            r"Every node should have a unique IP address": (
                "vllm/v1/executor/ray_executor.py since 0.8"
            ),
            r"[Cc]reated \d+ DP placement groups": "vllm/v1/engine/utils.py since 0.9",
        },
    ),
    Cause(
        name="handshake_timeout",
        kind=Kind.TRANSIENT,
        rank=Rank.NAMED,
        explanation="This member of a group waited for the head, which did not answer in time.",
        advice="Restart the head and its members together: a member alone cannot join one "
        "that runs.",
        signs={
            r"Did not receive response from front-end": "vllm/v1/engine/core.py since 0.8",
        },
    ),
    Cause(
        name="head_rejects_member",
        kind=Kind.TRANSIENT,
        rank=Rank.NAMED,
        explanation="The head was asked to join by a member that it had already: one that was "
        "restarted alone, while the head loaded.",
        advice="Restart the head and its members together: a member alone cannot join one "
        "that loads.",
        signs={
            r"Unexpected \w+ message for": "vllm/v1/engine/utils.py since 0.9",
        },
    ),
    Cause(
        name="coordinator_timeout",
        kind=Kind.TRANSIENT,
        rank=Rank.NAMED,
        explanation="The coordinator of the data parallel ranks did not start in time: a slow "
        "host.",
        advice="Start again when the host has less to do; its limit is fixed.",
        signs={
            r"Coordinator process failed to report ZMQ": "vllm/v1/engine/coordinator.py since 0.9",
        },
    ),
    Cause(
        name="gloo_loopback",
        kind=Kind.CONFIGURATION,
        rank=Rank.NAMED,
        starting=True,
        explanation=(
            "The host's name leads to its loopback address, so the other hosts cannot reach it."
        ),
        advice=(
            "Set GLOO_SOCKET_IFNAME, NCCL_SOCKET_IFNAME and VLLM_HOST_IP in the engine's env, "
            "or fix "
            "/etc/hosts."
        ),
        signs={
            r"(?:[Gg]loo|connectFullMesh).*(?:\b127(?:\.\d+){3}|\[::1\]|localhost)": (
                "torch: third_party/gloo"
            ),
            r"Unable to resolve hostname to a \(local\) address": "torch: ProcessGroupGloo.cpp",
        },
    ),
    Cause(
        name="rendezvous_timeout",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation="Not all hosts or processes of the engine came together in time.",
        advice=(
            "Look whether each of them is started, with the same master_addr and master_port, and "
            "restart them together."
        ),
        signs={
            r"Timed out after \d+ seconds waiting for clients": "torch: TCPStore.cpp",
            r"RendezvousTimeout"
            r"|wait timeout after \d+ms": "torch/distributed/elastic; TCPStore.cpp",
            r"DistStoreError": "torch/distributed",
        },
        told=_peer,
    ),
    Cause(
        name="dist_unreachable",
        kind=Kind.TRANSIENT,
        rank=Rank.STATED,
        explanation="The head of the engine's processes cannot be reached over the network.",
        advice=(
            "Look at the address and the firewall between the hosts (master_addr, "
            "VLLM_HOST_IP), and "
            "whether the head runs."
        ),
        signs={
            r"client socket has (?:timed out|failed)|DistNetworkError": "torch: socket.cpp",
            r"[Gg]loo.*(?:[Cc]onnection refused|timed out|[Tt]imeout|failed to connect)": (
                "torch: third_party/gloo"
            ),
            r"connectFullMesh failed|No route to host": "torch: third_party/gloo",
            r"gai error|getaddrinfo failed": "torch: socket.cpp",
            r"^zmq\.error\.ZMQError: (?:Cannot assign requested address|No such device)": (
                "libzmq: src/err.cpp, of an address that is none of this host"
            ),
            r"server socket has failed to (?:bind|listen).*EADDRNOTAVAIL": "torch: socket.cpp",
        },
        frames=(
            Frame(
                r"vllm/(?:utils/network_utils|distributed/|v1/engine/|config/parallel)",
                r"^(?:socket\.)?gaierror\b",
                "Python: socket, of an address that the engine was given",
            ),
        ),
        unless=r"EADDRINUSE|127\.0\.0\.1",
        told=_peer,
    ),
    Cause(
        name="peer_lost",
        kind=Kind.TRANSIENT,
        rank=Rank.WORK,
        explanation="The other side of a connection between the engine's hosts or GPUs went away.",
        advice="Look at the engine on the other host first: it ended before this one.",
        signs={
            r"Connection closed by peer|Connection reset by peer.*(?:gloo|pair\.cc)": (
                "torch: third_party/gloo/gloo/transport/tcp/pair.cc"
            ),
            r"[Gg]loo.*(?:closed|reset) by peer|(?:Read|Write) error \[\S+\]": "torch: gloo",
            r"Timed out waiting \d+ms for (?:recv|send)": "torch: third_party/gloo",
            r"Fault detected in EP all2all": "vllm/v1/worker/gpu/async_utils.py since 0.30",
            r"c10d key-value store .*got error": "torch: ProcessGroupNCCL.cpp",
            r"NodeDiedError|The node .* has been marked dead": "Ray",
            r"^ray\.exceptions\.(?:RayChannelError|RaySystemError|ActorUnavailableError"
            r"|ObjectLostError|OwnerDiedError|LocalRayletDiedError)\b": "ray/exceptions.py",
        },
        of_peers=True,
        told=_peer,
    ),
    Cause(
        name="nccl_failure",
        kind=Kind.TRANSIENT,
        rank=Rank.WORK,
        explanation="The GPUs of the engine could not talk to each other in time.",
        advice=(
            "If it comes again, look at the kernel log (journalctl -k -g NVRM) and run the engine"
            " with NCCL_DEBUG=INFO in its env."
        ),
        signs=accelerators.NOT_TALKED,
        told=_collectives,
    ),
    Cause(
        name="kv_transfer",
        kind=Kind.TRANSIENT,
        rank=Rank.WORK,
        explanation="The engines that hand KV caches to each other could not.",
        advice=(
            "Look at the other engine and at the network between them (UCX_NET_DEVICES, "
            "VLLM_NIXL_SIDE_CHANNEL_HOST); UCX_LOG_LEVEL=info in the env says more."
        ),
        told=_transfer,
        signs={
            r"NIXL_ERR|nixl\w*Error|NixlError|NIXL (?:is not available|handshake failed)": (
                "nixl; vllm/distributed/kv_transfer since 0.9"
            ),
            r"[Mm]ooncake.*(?:[Ff]ail|[Ee]rror)|LMCache.*(?:[Ff]ail|[Ee]rror)": (
                "mooncake, lmcache: vllm/distributed/kv_transfer"
            ),
            r"UCX\s+ERROR|ucp_\w+\(\) failed": "UCX",
        },
        frames=(
            Frame(
                r"kv_transfer/kv_connector/",
                r"^(?:zmq\.error\.Again|TimeoutError|ConnectionRefusedError)\b",
                "vllm/distributed/kv_transfer/kv_connector: the other engine does not answer",
            ),
            Frame(
                r"kv_transfer/(?!.*(?:factory\.py|:__init__$))",
                r"^(?:\S*\.)?\w*(?:Runtime|Value|OS|Connection|Handshake|MoRIIO|Timeout)Error: .",
                "vllm/distributed/kv_transfer: what it says of the engine that it works with",
                raised=True,
            ),
            Frame(
                r"/(?:lmcache|mooncake|nixl|mori)/",
                r"^(?:\S*\.)?\w*(?:Error|Exception)\b",
                "lmcache, mooncake, nixl, mori",
                raised=True,
            ),
        ),
        unless=r"^KeyError|^AssertionError",
    ),
    Cause(
        name="peer_lost",
        kind=Kind.TRANSIENT,
        rank=Rank.END,
        explanation="The host that leads the group went away, and this one ended after it.",
        advice="Look at the engine on the head first; restart it and its members together.",
        said={
            r"\[c10d\] (?:recvValue|sendBytes) failed|TCPStore server has shut down": (
                "torch: TCPStore.cpp, ProcessGroupNCCL.cpp"
            ),
        },
    ),
)
