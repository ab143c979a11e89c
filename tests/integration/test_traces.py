"""Spans from an engine, and from real OpenTelemetry SDKs, through a whole vllmd."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from tests.helpers.otlp import export
from tests.helpers.ports import free_port
from tests.helpers.prometheus import prometheus
from tests.helpers.site import VLLMD, Site, needs, running, wait_for
from tests.helpers.tracing import spans_like_vllms, trace_headers
from tests.integration.conftest import config_for, receiving, sequences
from vllmd.traces.forward.senders import EXPORT

REQUESTS = "vllmd_span_requests_total"

PATIENCE_S = 60
"""How long an exporter retries: its 10 s would make this a test of how fast a daemon starts."""


def grpc_address(made: Site) -> str:
    (line,) = [x for x in made.config.read_text().splitlines() if x.startswith("listen_grpc")]
    return line.split('"')[1]


@contextmanager
def sdk(exporter: SpanExporter) -> Iterator[TracerProvider]:
    """Run an SDK as vLLM sets it up."""
    resource = Resource.create({"service.name": "vllm", "vllmd.engine": "chat"})
    provider = TracerProvider(resource=resource)
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=200)
    provider.add_span_processor(processor)
    yield provider
    provider.shutdown()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_real_exporters_lose_no_span_over_a_restart_of_the_daemon(
    tmp_path: Path, protocol: str, packed: bool
) -> None:
    exporter: SpanExporter
    with receiving(tmp_path) as made:
        if protocol == "http":
            zipped = Compression.Gzip if packed else Compression.NoCompression
            exporter = HttpExporter(
                endpoint=f"{made.otlp}/v1/traces", compression=zipped, timeout=PATIENCE_S
            )
        else:
            exporter = GrpcExporter(
                endpoint=f"http://{grpc_address(made)}",
                insecure=True,
                compression=grpc.Compression.Gzip if packed else grpc.Compression.NoCompression,
                timeout=PATIENCE_S,
            )
        with sdk(exporter) as provider:
            spans_like_vllms(provider, 1000)
            assert provider.force_flush(10_000)
            assert sequences(made) == 1000
            made.kill_daemon()
            spans_like_vllms(provider, 700)
            time.sleep(0.5)
            made.start()
            assert provider.force_flush(1000 * PATIENCE_S)
            wait_for("what came meanwhile", lambda: sequences(made) == 700)
        accepted = made.samples("vllmd_otlp_requests_total")
        engines_own = {("accepted", "http")}  # of its start; it may come as late as this
        assert set(accepted) | engines_own == {("accepted", protocol)} | engines_own
        assert ("accepted", protocol) in accepted


def test_a_channel_that_is_kept_alive_by_pings_stays(tmp_path: Path) -> None:
    """Five pings a second, forty times what gRPC's own servers allow; two calls far apart."""
    often = [
        ("grpc.keepalive_time_ms", 200),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]
    with (
        receiving(tmp_path) as made,
        grpc.insecure_channel(grpc_address(made), options=often) as channel,
    ):
        call = channel.unary_unary(EXPORT)
        for _ in range(2):
            call(export(3).SerializeToString(), timeout=10)
            time.sleep(3)
        call(export(3).SerializeToString(), timeout=10)
        assert made.samples("vllmd_connections_accepted_total")[("otlp-grpc",)] == 1
        assert sequences(made) == 9


def test_a_reload_loses_and_doubles_no_span(tmp_path: Path) -> None:
    with receiving(tmp_path) as made:
        with sdk(HttpExporter(endpoint=f"{made.otlp}/v1/traces")) as provider:
            for _ in range(5):
                spans_like_vllms(provider, 200)
                made.vllmd("reload")
                made.wait_state("chat", "ready")
                time.sleep(0.3)
            assert provider.force_flush(20_000)
        wait_for("all of them", lambda: sequences(made) == 1000)


def test_requests_are_counted_where_their_clients_say(tmp_path: Path) -> None:
    needs("prometheus")
    with receiving(tmp_path) as made:
        ids = []
        for adapter in ("sql", "sql", "tiny", "nosuch", None):
            headers = trace_headers(adapter, sampled=False)
            ids.append(headers["traceparent"].split("-")[1])
            made.chat("sql" if adapter == "sql" else "tiny", tokens=5, headers=headers)
        made.chat("tiny", tokens=5)
        expected = {("sql", "chat"): 2.0, ("tiny", "chat"): 1.0, ("unknown", "chat"): 3.0}
        wait_for("spans", lambda: made.samples(REQUESTS) == expected)
        tokens = made.samples("vllmd_span_tokens_total")
        assert tokens["sql", "generation", "chat"] == 10
        assert made.samples("vllmd_span_unknown_adapter_total") == {("chat",): 1.0}
        target = made.exporter.removeprefix("http://")
        with prometheus(tmp_path / "prometheus", target) as stored:
            stored.wait_scrapes(2)
            assert stored.target_error() == ""
            p50 = "histogram_quantile(0.5, vllmd_span_e2e_seconds_bucket)"
            assert len(stored.query(p50)) == 3
            found = stored.exemplars("vllmd_span_e2e_seconds_bucket")
            assert {e["labels"]["trace_id"] for e in found} & set(ids)
            assert all(len(e["labels"]["span_id"]) == 16 for e in found)
        shown = json.loads(made.vllmd("traces", "--json").stdout)
        assert shown["current"]["requests"] == 6
        assert {r["trace_id"] for r in shown["current"]["slowest"]["e2e"]} <= {*ids} | {
            r["trace_id"] for r in shown["current"]["slowest"]["e2e"] if r["adapter"] == "unknown"
        }
        told = made.vllmd("traces").stdout
        assert all(
            told.count(each["request_id"]) == 1 for each in shown["current"]["slowest"]["e2e"]
        )
        assert "slowest by time to first token" in made.vllmd("traces", "--by", "ttft").stdout


def test_ask_tries_every_model_and_is_counted_by_adapter(tmp_path: Path) -> None:
    with receiving(tmp_path) as made:
        answer = made.vllmd("ask", "What is it?", "-m", "sql", "--max-tokens", "4")
        assert answer.returncode == 0, answer.stderr
        assert len(answer.stdout.split()) == 4
        assert "sql: first token after" in answer.stderr
        shown = json.loads(made.vllmd("ask", "--all", "--json").stdout)
        assert [(each["model"], each["completion_tokens"]) for each in shown] == [
            ("tiny", 16),
            ("sql", 16),
        ]
        expected = {("sql", "chat"): 2.0, ("tiny", "chat"): 1.0}
        wait_for("spans", lambda: made.samples(REQUESTS) == expected)
        made.vllmd("stop", "chat")
        refused = made.vllmd("ask")
        assert refused.returncode == 1
        assert "'vllmd start chat --wait' starts it" in refused.stderr


def test_coverage_is_whole_where_every_request_sent_its_span(tmp_path: Path) -> None:
    with receiving(tmp_path) as made:
        for _ in range(4):
            made.chat("tiny", tokens=3)
        ratio = wait_for("coverage", lambda: made.samples("vllmd_span_coverage_ratio"), 40)
        assert ratio == {("chat",): 1.0}


def test_the_last_batch_of_a_stop_is_not_lost(tmp_path: Path) -> None:
    with receiving(tmp_path) as made:
        for _ in range(3):
            made.chat("tiny", tokens=2)
        assert made.vllmd("stop", "chat").returncode == 0
        wait_for("spans", lambda: sequences(made) == 3, 5)


def test_parts_of_the_start_are_shown_and_are_no_requests(tmp_path: Path) -> None:
    with receiving(tmp_path) as made:
        took = wait_for("the start", lambda: made.samples("vllmd_engine_start_span_seconds"))
        assert took["Overall Loading", "chat"] > 0.2
        assert made.samples(REQUESTS) == {}


def test_a_part_of_a_start_leads_to_its_phase_before_the_log_says_it(tmp_path: Path) -> None:
    with receiving(tmp_path) as made:
        made.vllmd("stop", "chat")
        made.kill_daemon()
        made.start(VLLMD_STAND_IN_LOAD_S="8")
        made.vllmd("start", "chat")
        made.wait_state("chat", "loading")
        response = httpx.post(
            f"{made.otlp}/v1/traces",
            content=export(name="Capture model", start_ns=1).SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
        )
        assert response.status_code == 200
        wait_for("the phase", lambda: made.engine("chat")["phase"] == "graphs", 4)
        assert made.samples("vllmd_engine_start_span_seconds")["Capture model", "chat"] == 2.0


def test_a_port_that_is_taken_costs_spans_only(tmp_path: Path) -> None:
    exporter, api = free_port(), free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = config_for(tmp_path, exporter, api)
        config += f'\n[traces]\nlisten_http = "127.0.0.1:{port}"\nlisten_grpc = ""\n'
        made = Site(tmp_path, config, exporter_port=exporter, api_port=api, otlp_port=port)
        with running(made):
            made.wait_state("chat", "ready")
            assert made.chat("tiny", tokens=2)
            said = made.vllmd("status").stdout
            assert "spans are not received: " in said
            assert f"127.0.0.1:{port}" in said
            assert made.samples("vllmd_otlp_up") == {("http",): 0.0}
            taken.close()
            wait_for("the port", lambda: made.samples("vllmd_otlp_up") == {("http",): 1.0}, 30)
            made.chat("tiny", tokens=2)
            wait_for("spans", lambda: sequences(made) >= 1)
            assert "spans are not received" not in made.vllmd("status").stdout


def test_check_shows_how_the_engine_is_wired_and_refuses_the_fatal_pair(tmp_path: Path) -> None:
    config = tmp_path / "vllmd.toml"
    text = '[engines.chat]\nmodel = "m"\nexecutable = "sh"\n'
    config.write_text(text)
    shown = _check(config).stdout
    assert "--otlp-traces-endpoint http://127.0.0.1:4318/v1/traces" in shown
    assert "OTEL_RESOURCE_ATTRIBUTES=vllmd.engine=chat" in shown
    config.write_text(f"{text}traces = true\nflags = {{ disable-log-stats = true }}\n")
    result = _check(config)
    assert result.returncode == 78
    assert "every request of an engine that sends spans fails" in result.stderr


def _check(config: Path) -> subprocess.CompletedProcess[str]:
    command = [str(VLLMD), "check", "--config", str(config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_ten_thousand_random_names_change_nothing_but_counters(tmp_path: Path) -> None:
    with receiving(tmp_path) as made:
        made.chat("tiny", tokens=2, headers=trace_headers("sql"))
        wait_for("spans", lambda: sequences(made) == 1)

        wait_for("its version", lambda: made.samples("vllmd_engine_version_info"))

        def series() -> set[str]:
            lines = made.metrics().splitlines()
            own = [x for x in lines if x.startswith(("vllmd_span", "vllmd_otlp", "vllmd_engine"))]
            return {line.rpartition(" ")[0] for line in own}

        def send(count: int, adapter: str) -> None:
            request: Any = export(0)
            for number in range(count):
                request.MergeFrom(export(state=f"vllmd={adapter}{number}"))
            response = httpx.post(
                f"{made.otlp}/v1/traces",
                content=request.SerializeToString(),
                headers={"content-type": "application/x-protobuf"},
                timeout=30,
            )
            assert response.status_code == 200

        send(1, "warm-up")
        before = series()
        for batch in range(20):
            send(500, f"random-{batch}-")
        assert series() == before
        assert made.samples("vllmd_span_unknown_adapter_total") == {("chat",): 10_001.0}
