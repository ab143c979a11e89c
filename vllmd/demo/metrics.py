"""The stand-in's metrics page: a real vLLM's families, counted as vLLM counts them."""

import os
import time
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    Summary,
    disable_created_metrics,
    generate_latest,
)

from vllmd.demo.args import Args
from vllmd.demo.families import ROWS, FamilyRow

_CREATED = "PROMETHEUS_DISABLE_CREATED_SERIES"
_KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "summary": Summary}
KV_TOKENS = 65536


class Metrics:
    """All families of the page, by the name that the page shows."""

    def __init__(self, args: Args) -> None:
        if os.environ.get(_CREATED, "").lower() in ("1", "true"):
            disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self._args = args
        self._base = {"model_name": args.served_names[0], "engine": "0"}
        self._metrics = {row.name: self._build(row) for row in ROWS}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._seed()

    def _build(self, row: FamilyRow) -> Any:
        names = [*(self._base if row.per_engine else ()), *row.labels]
        if row.name == "vllm:admission_rejections_total":
            names.append("model_name")
        if row.name == "vllm:cache_config_info":
            names.append("engine")
        if row.type == "histogram":
            return Histogram(row.name, row.help, names, registry=self.registry, buckets=row.buckets)
        return _KINDS[row.type](row.name, row.help, names, registry=self.registry)

    def _seed(self) -> None:
        """Make the series that exist before the first request."""
        for row in ROWS:
            if row.per_engine:
                (label,) = row.labels or ("",)
                for value in row.labels.get(label, ("",)):
                    for rank in self._ranks():
                        labels = {**self._base, "engine": rank, **({label: value} if label else {})}
                        self._metrics[row.name].labels(**labels)
        for reason in ("max_num_queued_reqs", "max_num_queued_tokens"):
            labels = {"model_name": self._base["model_name"], "reason": reason}
            self._metrics["vllm:admission_rejections_total"].labels(**labels)
        config = dict.fromkeys(self._config_labels(), "None")
        config.update(engine="0", block_size="128", num_gpu_blocks=str(KV_TOKENS // 128))
        self._metrics["vllm:cache_config_info"].labels(**config).set(1)
        for rank in self._ranks():
            awake = {**self._base, "engine": rank, "sleep_state": "awake"}
            self._metrics["vllm:engine_sleep_state"].labels(**awake).set(1)

    def _ranks(self) -> list[str]:
        """Return the data parallel ranks; those of other hosts are on the head's page, too."""
        return [str(rank) for rank in range(self._args.data_ranks)]

    @staticmethod
    def _config_labels() -> list[str]:
        (row,) = (row for row in ROWS if row.name == "vllm:cache_config_info")
        return [*row.labels, "engine"]

    def of(self, name: str, **labels: str) -> Any:
        """Return the series of an engine's family with these further labels."""
        return self._metrics[name].labels(**self._base, **labels)

    def stepped(self, message: dict[str, Any], running_tokens: int) -> None:
        """Count one step of the engine."""
        self.of("vllm:num_requests_running").set(message["running"])
        self.of("vllm:num_requests_waiting").set(message["waiting"])
        self.of("vllm:num_requests_waiting_by_reason", reason="capacity").set(message["waiting"])
        self.of("vllm:iteration_tokens_total").observe(message["step_tokens"])
        self.of("vllm:generation_tokens_total").inc(len(message["tokens"]))
        self.of("vllm:kv_cache_usage_perc").set(min(1.0, running_tokens / KV_TOKENS))

    def sleeps(self, level: int | None) -> None:
        """Show that it sleeps at a level, or that it is awake (None).

        Source: `record_sleep_state` in vllm/v1/metrics/loggers.py.
        """
        shown = {"awake": level is None, "weights_offloaded": level == 1, "discard_all": level == 2}
        for state, value in shown.items():
            self.of("vllm:engine_sleep_state", sleep_state=state).set(value)

    def waiting(self, running: int) -> None:
        """Show requests that the engine has been given and has not answered."""
        self.of("vllm:num_requests_running").set(running)

    def finished(self, request: Any, reason: str) -> None:
        """Count one request that has ended."""
        now = time.monotonic()
        e2e, ttft = now - request.started, request.first_token_at - request.started
        self.of("vllm:request_success_total", finished_reason=reason).inc()
        self.of("vllm:prompt_tokens_total").inc(request.prompt_tokens)
        self.of("vllm:prompt_tokens_by_source_total", source="local_compute").inc(
            request.prompt_tokens
        )
        self.of("vllm:prefix_cache_queries_total").inc(request.prompt_tokens)
        for name, value in (
            ("request_prompt_tokens", request.prompt_tokens),
            ("request_prefill_kv_computed_tokens", request.prompt_tokens),  # it has no cache
            ("request_generation_tokens", request.tokens),
            ("request_params_max_tokens", request.max_tokens),
            ("request_params_n", 1),
            ("time_to_first_token_seconds", ttft),
            ("e2e_request_latency_seconds", e2e),
            ("request_queue_time_seconds", 0.0),
            ("request_prefill_time_seconds", ttft),
            ("request_decode_time_seconds", e2e - ttft),
            ("request_inference_time_seconds", e2e),
            ("request_time_per_output_token_seconds", (e2e - ttft) / max(1, request.tokens - 1)),
        ):
            self.of(f"vllm:{name}").observe(value)

    def handled(self, handler: str, status: int, seconds: float, sizes: tuple[int, int]) -> None:
        """Count one HTTP request; `sizes` are the bytes of its body and of the answer's."""
        for name, size in zip(("request", "response"), sizes, strict=True):
            self._metrics[f"http_{name}_size_bytes"].labels(handler=handler).observe(size)
        group = f"{status // 100}xx"
        self._metrics["http_requests_total"].labels(
            handler=handler, method="POST", status=group
        ).inc()
        self._metrics["http_request_duration_seconds"].labels(
            handler=handler, method="POST"
        ).observe(seconds)
        self._metrics["http_request_duration_highr_seconds"].observe(seconds)

    def lora(self, running: str, waiting: str) -> None:
        """Show which adapters run; a new series for every combination, as in vLLM."""
        self._metrics["vllm:lora_requests_info"].labels(
            max_lora=str(self._args.max_loras),
            running_lora_adapters=running,
            waiting_lora_adapters=waiting,
        ).set(time.time())

    def page(self) -> bytes:
        """Return the page."""
        return generate_latest(self.registry)
