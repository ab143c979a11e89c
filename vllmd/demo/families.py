# ruff: noqa: E501 - help texts are vLLM's own, whole
"""The metric families of a real vLLM 0.32 page, which the stand-in shows with moving numbers.

Source: tests/data/metrics/vllm-0.32-cpu.prom; a test holds this table against it. `labels` are
those beside `model_name` and `engine`, with the values that exist from the start.
"""

from collections.abc import Mapping
from types import MappingProxyType

import attrs

_NONE: Mapping[str, tuple[str, ...]] = MappingProxyType({})

_TOKENS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
_STEP_TOKENS = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_TTFT = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_PER_TOKEN = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_HIGHR = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0),
    *(4.5, 5.0, 7.5, 10.0, 30.0, 60.0),
)


@attrs.frozen
class FamilyRow:
    """One family; `name` is as on the page."""

    type: str
    name: str
    help: str
    labels: Mapping[str, tuple[str, ...]] = _NONE
    buckets: tuple[float, ...] = ()
    per_engine: bool = True


ROWS: tuple[FamilyRow, ...] = (
    FamilyRow(
        "counter",
        "vllm:estimated_flops_per_gpu_total",
        "Estimated number of floating point operations per GPU (for Model Flops Utilization calculations).",
    ),
    FamilyRow(
        "counter",
        "vllm:estimated_read_bytes_per_gpu_total",
        "Estimated number of bytes read from memory per GPU (for Model Flops Utilization calculations).",
    ),
    FamilyRow(
        "counter",
        "vllm:estimated_write_bytes_per_gpu_total",
        "Estimated number of bytes written to memory per GPU (for Model Flops Utilization calculations).",
    ),
    FamilyRow(
        "gauge", "vllm:num_requests_running", "Number of requests in model execution batches."
    ),
    FamilyRow("gauge", "vllm:num_requests_waiting", "Number of requests waiting to be processed."),
    FamilyRow(
        "gauge",
        "vllm:num_requests_waiting_by_reason",
        "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity; 'deferred' = deferred by transient constraints (LoRA budget, KV transfer, blocked status). Sum of all reasons equals vllm:num_requests_waiting.",
        MappingProxyType({"reason": ("capacity", "deferred")}),
    ),
    FamilyRow(
        "gauge",
        "vllm:engine_sleep_state",
        "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2.",
        MappingProxyType({"sleep_state": ("awake", "weights_offloaded", "discard_all")}),
    ),
    FamilyRow("gauge", "vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage."),
    FamilyRow(
        "counter",
        "vllm:prefix_cache_queries_total",
        "Prefix cache queries, in terms of number of queried tokens.",
    ),
    FamilyRow(
        "counter",
        "vllm:prefix_cache_hits_total",
        "Prefix cache hits, in terms of number of cached tokens.",
    ),
    FamilyRow(
        "counter",
        "vllm:external_prefix_cache_queries_total",
        "External prefix cache queries from KV connector cross-instance cache sharing, in terms of number of queried tokens.",
    ),
    FamilyRow(
        "counter",
        "vllm:external_prefix_cache_hits_total",
        "External prefix cache hits from KV connector cross-instance cache sharing, in terms of number of cached tokens.",
    ),
    FamilyRow(
        "counter",
        "vllm:mm_cache_queries_total",
        "Multi-modal cache queries, in terms of number of queried items.",
    ),
    FamilyRow(
        "counter",
        "vllm:mm_cache_hits_total",
        "Multi-modal cache hits, in terms of number of cached items.",
    ),
    FamilyRow(
        "counter", "vllm:num_preemptions_total", "Cumulative number of preemption from the engine."
    ),
    FamilyRow("counter", "vllm:prompt_tokens_total", "Number of prefill tokens processed."),
    FamilyRow(
        "counter",
        "vllm:prompt_tokens_by_source_total",
        "Number of prompt tokens by source.",
        MappingProxyType({"source": ("local_compute", "local_cache_hit", "external_kv_transfer")}),
    ),
    FamilyRow(
        "counter",
        "vllm:prompt_tokens_cached_total",
        "Number of cached prompt tokens (local + external).",
    ),
    FamilyRow(
        "counter",
        "vllm:prompt_tokens_cached_by_source_total",
        "Prefix-cache hit tokens by the cache tier that supplied them: device (local HBM), host (offloaded to DRAM), disk, p2p (transferred from another vLLM instance) or external_unspecified. Counted at admission; sums to vllm:prefix_cache_hits + vllm:external_prefix_cache_hits.",
        MappingProxyType({"source": ("device", "host", "p2p", "disk", "external_unspecified")}),
    ),
    FamilyRow("counter", "vllm:generation_tokens_total", "Number of generation tokens processed."),
    FamilyRow(
        "counter",
        "vllm:request_success_total",
        "Count of successfully processed requests.",
        MappingProxyType({"finished_reason": ("stop", "length", "abort", "error", "repetition")}),
    ),
    FamilyRow(
        "counter",
        "vllm:admission_rejections_total",
        "Number of admission attempts rejected by a queue limit, by reason.",
        MappingProxyType({"reason": ("max_num_queued_reqs", "max_num_queued_tokens")}),
        per_engine=False,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_prompt_tokens",
        "Number of prefill tokens processed.",
        buckets=_TOKENS,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_generation_tokens",
        "Number of generation tokens processed.",
        buckets=_TOKENS,
    ),
    FamilyRow(
        "histogram",
        "vllm:iteration_tokens_total",
        "Histogram of number of tokens per engine_step.",
        buckets=_STEP_TOKENS,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_max_num_generation_tokens",
        "Histogram of maximum number of requested generation tokens.",
        buckets=_TOKENS,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_params_n",
        "Histogram of the n request parameter.",
        buckets=(1.0, 2.0, 5.0, 10.0, 20.0),
    ),
    FamilyRow(
        "histogram",
        "vllm:request_params_max_tokens",
        "Histogram of the max_tokens request parameter.",
        buckets=_TOKENS,
    ),
    FamilyRow(
        "histogram",
        "vllm:time_to_first_token_seconds",
        "Histogram of time to first token in seconds.",
        buckets=_TTFT,
    ),
    FamilyRow(
        "histogram",
        "vllm:inter_token_latency_seconds",
        "Histogram of inter-token latency in seconds.",
        buckets=_PER_TOKEN,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_time_per_output_token_seconds",
        "Histogram of time_per_output_token_seconds per request.",
        buckets=_PER_TOKEN,
    ),
    FamilyRow(
        "histogram",
        "vllm:e2e_request_latency_seconds",
        "Histogram of e2e request latency in seconds.",
        buckets=_REQUEST,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_queue_time_seconds",
        "Histogram of time spent in WAITING phase for request.",
        buckets=_REQUEST,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_inference_time_seconds",
        "Histogram of time spent in RUNNING phase for request.",
        buckets=_REQUEST,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_prefill_time_seconds",
        "Histogram of time spent in PREFILL phase for request.",
        buckets=_REQUEST,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_decode_time_seconds",
        "Histogram of time spent in DECODE phase for request.",
        buckets=_REQUEST,
    ),
    FamilyRow(
        "histogram",
        "vllm:request_num_preemptions",
        "Histogram of the number of times a request was preempted.",
        buckets=(1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0),
    ),
    FamilyRow(
        "histogram",
        "vllm:request_prefill_kv_computed_tokens",
        "Histogram of new KV tokens computed during prefill (excluding cached tokens).",
        buckets=_TOKENS,
    ),
    FamilyRow(
        "gauge",
        "vllm:lora_requests_info",
        "Running stats on lora requests.",
        MappingProxyType(
            {"max_lora": (), "running_lora_adapters": (), "waiting_lora_adapters": ()}
        ),
        per_engine=False,
    ),
    FamilyRow(
        "gauge",
        "vllm:cache_config_info",
        "Information of the LLMEngine CacheConfig",
        MappingProxyType(
            {
                "_block_size_resolved": (),
                "block_size": (),
                "cache_dtype": (),
                "cache_hit_alignment_tokens": (),
                "effective_attention_block_size": (),
                "enable_mamba_shared_prefix_checkpoint": (),
                "enable_prefix_caching": (),
                "gpu_memory_utilization": (),
                "hash_block_size": (),
                "is_attention_free": (),
                "kv_cache_dtype_skip_layers": (),
                "kv_cache_layout": (),
                "kv_cache_max_concurrency": (),
                "kv_cache_memory_bytes": (),
                "kv_cache_size_tokens": (),
                "kv_offloading_backend": (),
                "kv_offloading_size": (),
                "kv_sharing_fast_prefill": (),
                "mamba_block_size": (),
                "mamba_cache_dtype": (),
                "mamba_cache_mode": (),
                "mamba_page_size_padded": (),
                "mamba_ssm_cache_dtype": (),
                "num_cpu_blocks": (),
                "num_gpu_blocks": (),
                "num_gpu_blocks_override": (),
                "prefix_cache_retention_interval": (),
                "prefix_caching_hash_algo": (),
                "prefix_match_unit": (),
                "replayssm_buffer_len": (),
                "skip_page_size_padded": (),
                "sliding_window": (),
                "swa_bounded_replay": (),
                "use_kda_recoverssm": (),
                "use_replayssm": (),
                "user_specified_block_size": (),
            }
        ),
        per_engine=False,
    ),
    FamilyRow(
        "counter",
        "http_requests_total",
        "Total number of requests by method, status and handler.",
        MappingProxyType({"handler": (), "method": (), "status": ()}),
        per_engine=False,
    ),
    FamilyRow(
        "summary",
        "http_request_size_bytes",
        "Content length of incoming requests by handler. Only value of header is respected. Otherwise ignored. No percentile calculated. ",
        MappingProxyType({"handler": ()}),
        per_engine=False,
    ),
    FamilyRow(
        "summary",
        "http_response_size_bytes",
        "Content length of outgoing responses by handler. Only value of header is respected. Otherwise ignored. No percentile calculated. ",
        MappingProxyType({"handler": ()}),
        per_engine=False,
    ),
    FamilyRow(
        "histogram",
        "http_request_duration_highr_seconds",
        "Latency with many buckets but no API specific labels. Made for more accurate percentile calculations. ",
        buckets=_HIGHR,
        per_engine=False,
    ),
    FamilyRow(
        "histogram",
        "http_request_duration_seconds",
        "Latency with only few buckets by handler. Made to be only used if aggregation by handler is important. ",
        MappingProxyType({"handler": (), "method": ()}),
        buckets=(0.1, 0.5, 1.0),
        per_engine=False,
    ),
)
