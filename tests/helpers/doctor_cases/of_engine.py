"""Of the model, the adapters and the settings."""

import attrs

from tests.helpers.doctor import H200, case, grouped, m8b
from tests.helpers.doctor_cases.make import (
    AWQ,
    CPU,
    ERROR,
    INFO,
    KEPT,
    NOWHERE,
    OLD,
    REAL,
    SLEEPS,
    SMALL_GPU,
    TWO_GPUS,
    WARNING,
    Make,
    chat_model,
    lora_case,
    other,
)
from vllmd.doctor.finding import FindingSeverity
from vllmd.doctor.group import GroupFacts

BAD: list[tuple[str, FindingSeverity, str, Make]] = [
    ("preload", ERROR, "vLLM 0.30.2 has no 'vllm preload'", lambda _: other(KEPT, installed=OLD)),
    ("preload", ERROR, "computes on the CPU", lambda _: other(KEPT, installed=CPU)),
    (
        "preload",
        ERROR,
        "quantized by 'awq'",
        lambda _: case(KEPT, model=m8b(quantization_config=AWQ)),
    ),
    (
        "preload",
        ERROR,
        "quantization = 'fp8' quantizes the weights at the load",
        lambda _: case(f'{KEPT}\nquantization = "fp8"'),
    ),
    ("sleep", ERROR, "computes on the CPU", lambda _: other(SLEEPS, installed=CPU)),
    (
        "sleep",
        WARNING,
        "with sleep.expose_dev_mode",
        lambda _: case('host = "0.0.0.0"\nsleep = { expose_dev_mode = true }'),
    ),
    ("model-missing", ERROR, "no folder '/srv/models/m8b'", lambda _: case(model=NOWHERE)),
    (
        "model-missing",
        ERROR,
        "HF_HUB_OFFLINE is set",
        lambda _: case(model=NOWHERE, name="org/m", env={"HF_HUB_OFFLINE": "1"}),
    ),
    (
        "model-missing",
        INFO,
        "not in the hub's cache yet",
        lambda _: case(model=NOWHERE, name="org/m"),
    ),
    (
        "model-files",
        ERROR,
        "model-2.safetensors is missing",
        lambda _: case(model=attrs.evolve(m8b(), problems=("model-2.safetensors is missing",))),
    ),
    (
        "will-it-fit",
        ERROR,
        "weights of 15.3 GiB do not fit",
        lambda _: case("gpu_memory_utilization = 0.5", gpus=SMALL_GPU),
    ),
    (
        "will-it-fit",
        ERROR,
        "what keeps the weights 700.0 MiB beside them",
        lambda _: case(f"{KEPT}\ngpu_memory_utilization = 0.995"),
    ),
    (
        "will-it-fit",
        ERROR,
        "what keeps the weights 1.6 GiB beside them",
        lambda _: case(f"{KEPT}\n{TWO_GPUS}", gpus=(H200, H200)),
    ),
    (
        "will-it-fit",
        ERROR,
        "one request of 40,960 tokens takes 5.6 GiB",
        lambda _: case("gpu_memory_utilization = 0.14"),
    ),
    (
        "parallel-heads",
        ERROR,
        "tensor-parallel-size = 3, and the model has",
        lambda _: case("flags = { tensor-parallel-size = 3 }", gpus=(H200, H200, H200)),
    ),
    ("context-length", ERROR, "max_model_len = 50,000", lambda _: case("max_model_len = 50000")),
    (
        "context-length",
        INFO,
        "the model's own 131,072 tokens",
        lambda _: case(model=m8b(max_position_embeddings=131072)),
    ),
    (
        "concurrency",
        WARNING,
        "max_num_seqs = 1000",
        lambda _: case("gpu_memory_utilization = 0.2\nmax_model_len = 4096\nmax_num_seqs = 1000"),
    ),
    ("lora-adapters", ERROR, "its rank 64 is above max_lora_rank 16", lambda p: lora_case(p, 64)),
    ("quantization", WARNING, 'quantization = "awq"', lambda _: case('quantization = "awq"')),
    (
        "quantization",
        ERROR,
        "the weights are gptq",
        lambda _: case(
            'quantization = "fp8"', model=m8b(quantization_config={"quant_method": "gptq"})
        ),
    ),
    ("prefix-caching", WARNING, "false", lambda _: case("enable_prefix_caching = false")),
    ("chat-template", WARNING, "no chat_template", lambda p: case(model=chat_model(p))),
    (
        "log-stats",
        WARNING,
        "disable-log-stats",
        lambda _: case("flags = { disable-log-stats = true }"),
    ),
    ("api-exposed", WARNING, "without VLLM_API_KEY", lambda _: case('host = "0.0.0.0"')),
    (
        "api-exposed",
        INFO,
        "for the balancer of the fleet",
        lambda _: case('host = "0.0.0.0"\n[fleet]\nhosts = ["gpu01"]'),
    ),
    (
        "api-exposed",
        ERROR,
        "VLLM_SERVER_DEV_MODE",
        lambda _: case('host = "0.0.0.0"', env={"VLLM_SERVER_DEV_MODE": "1", "VLLM_API_KEY": "k"}),
    ),
    (
        "flags",
        ERROR,
        "has no flag --enforce-eagr",
        lambda _: other("flags = { enforce-eagr = true }", flag_table=REAL),
    ),
    (
        "flags",
        WARNING,
        "is deprecated",
        lambda _: other("flags = { disable-cascade-attn = true }", flag_table=REAL),
    ),
    *(
        (
            "flag-files",
            ERROR,
            "there is no '/no/such'",
            lambda _, text=text: case(f"flags = {text}"),
        )
        for text in (
            '{ chat-template = "/no/such" }',
            '{ chat_template = "/no/such" }',
            """{ speculative-config = '{"model": "/no/such"}' }""",
            '{ speculative-config = { method = "eagle3", model = "/no/such" } }',
        )
    ),
    (
        "group-names",
        ERROR,
        "gpu01 is an address of the loopback interface",
        lambda _: grouped(GroupFacts(0, loopback=("gpu01", "gpu01.local"))),
    ),
    (
        "group-names",
        WARNING,
        "this host's own name, gpu01.local, is",
        lambda _: grouped(GroupFacts(0, loopback=("gpu01.local",))),
    ),
    (
        "group-port",
        ERROR,
        "port 29501, at which members join, is in use by nc (pid 7)",
        lambda _: grouped(GroupFacts(0, taken_by="nc (pid 7)")),
    ),
    (
        "group-reach",
        WARNING,
        "gpu02 gives no page of chat: No route to host",
        lambda _: grouped(GroupFacts(0, silent={"gpu02": "No route to host"})),
    ),
    (
        "group-reach",
        WARNING,
        "nothing comes back from port 29501",
        lambda _: grouped(GroupFacts(1, closed="nothing comes back from port 29501 of gpu01")),
    ),
    (
        "group-alike",
        ERROR,
        "gpu02 has vLLM 0.33.0",
        lambda _: grouped(GroupFacts(0, differences=("gpu02 has vLLM 0.33.0, this host 0.32.0",))),
    ),
    (
        "api-servers",
        WARNING,
        "there are 2 API servers",
        lambda _: case('flags = { api-server-count = 2 }\nlora = { modules = { a = "o/a" } }'),
    ),
]
