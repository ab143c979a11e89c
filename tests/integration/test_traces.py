"""Spans from an engine, and from real OpenTelemetry SDKs, through a whole vllmd."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpclib.server import Server
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from tests.helpers.otlp import Taken, export
from tests.helpers.prometheus import prometheus
from tests.helpers.site import DAEMON, VLLMD, Site, free_port, needs, sweep, wait_for
from tests.helpers.tracing import Collector, collector, spans_like_vllms, trace_headers
from tests.integration.conftest import config_for
from vllmd.config.traces import Forward
from vllmd.traces.forward.answer import Verdict
from vllmd.traces.forward.queue import Batch
from vllmd.traces.forward.senders import GrpcSender, Target
from vllmd.traces.grpc import GrpcReceiver
from vllmd.tracing import tls_of

REQUESTS = "vllmd_span_requests_total"
SEQUENCES = "vllmd_span_sequences_total"


@contextmanager
def running(made: Site) -> Iterator[None]:
    """Run a site; at the end nothing of it is left."""
    made.start()
    try:
        yield
    finally:
        if made.daemon.poll() is None:
            made.stop()
        sweep(made.folder)


@contextmanager
def receiving(folder: Path, more: str = "", tables: str = "", **env: str) -> Iterator[Site]:
    """Run a site with both receivers; `grpc_port` is in its `env`."""
    exporter, api, http_port, grpc_port = (free_port() for _ in range(4))
    text = config_for(folder, exporter, api) + tables
    text += f'\n[traces]\nlisten_http = "127.0.0.1:{http_port}"\n'
    text += f'listen_grpc = "127.0.0.1:{grpc_port}"\n{more}\n'
    made = Site(folder, text, exporter_port=exporter, api_port=api, otlp_port=http_port)
    made.env = env
    with running(made):
        made.wait_state("chat", "ready")
        yield made


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


def sequences(made: Site) -> float:
    return made.samples(SEQUENCES).get(("chat",), 0.0)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_real_exporters_lose_no_span_over_a_restart_of_the_daemon(
    tmp_path: Path, protocol: str, packed: bool
) -> None:
    exporter: SpanExporter
    with receiving(tmp_path) as made:
        if protocol == "http":
            zipped = Compression.Gzip if packed else Compression.NoCompression
            exporter = HttpExporter(endpoint=f"{made.otlp}/v1/traces", compression=zipped)
        else:
            exporter = GrpcExporter(
                endpoint=f"http://{grpc_address(made)}",
                insecure=True,
                compression=grpc.Compression.Gzip if packed else grpc.Compression.NoCompression,
            )
        with sdk(exporter) as provider:
            spans_like_vllms(provider, 1000)
            assert provider.force_flush(10_000)
            assert sequences(made) == 1000
            made.kill_daemon()
            spans_like_vllms(provider, 700)
            time.sleep(0.5)
            made.start()
            assert provider.force_flush(20_000)
            wait_for("what came meanwhile", lambda: sequences(made) == 700)
        accepted = made.samples("vllmd_otlp_requests_total")
        assert set(accepted) == {("accepted", protocol)}


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
        assert "slowest by time to first token" in made.vllmd("traces").stdout


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


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_spans_are_passed_on_with_our_own(tmp_path: Path, protocol: str) -> None:
    """Over gRPC to another vllmd, which passes them on over HTTP to the collector."""
    with collector() as got:
        if protocol == "grpc":
            over = free_port()
            with _second(tmp_path / "b", over, got) as _:
                endpoint = f"http://127.0.0.1:{over}"
                _pass_on(tmp_path / "a", endpoint, protocol, got)
        else:
            _pass_on(tmp_path / "a", got.url, protocol, got)
            assert got.headers[0]["x-scope-orgid"] == "ops"


@contextmanager
def _second(folder: Path, over: int, got: Collector) -> Iterator[Site]:
    folder.mkdir()
    text = DAEMON.format(folder=folder, exporter=free_port())
    text += f"""
[traces]
listen_http = ""
listen_grpc = "127.0.0.1:{over}"
[traces.forward]
endpoint = "{got.url}"
"""
    made = Site(folder, text, exporter_port=1, api_port=1, otlp_port=1)
    with running(made):
        yield made


def _pass_on(folder: Path, endpoint: str, protocol: str, got: Collector) -> None:
    folder.mkdir()
    forward = f'[traces.forward]\nendpoint = "{endpoint}"\nprotocol = "{protocol}"\n'
    forward += 'headers = { X-Scope-OrgID = "ops" }\n'
    with receiving(folder, forward) as made:
        made.chat("tiny", tokens=3, headers=trace_headers("sql"))
        before = made.engine("chat")
        os.kill(made.process("chat", "VLLM::EngineCore").pid, signal.SIGKILL)
        made.wait_new_run("chat", before, 30)
        wait_for("the incident", lambda: got.named("engine.incident"))
        wait_for("the request", lambda: got.named("llm_request"))
        (request,) = got.named("llm_request")
        assert request.trace_state == "vllmd=sql"
        (incident,) = got.named("engine.incident")
        children = {span.name for _, span in got.spans() if span.parent_span_id == incident.span_id}
        assert "engine.start" in children
        told = {a.key: a.value.string_value for a in incident.attributes}
        assert told["vllmd.cause"] == "engine_core_died"
        assert {service for service, _ in got.spans()} == {"vllm-chat", "vllmd"}
        phases = [s.name for _, s in got.spans() if s.name.startswith("engine.start ")]
        assert "engine.start weights" in phases
        assert made.samples("vllmd_otlp_forward_up") == {(): 1.0}
        made.stop()
    assert got.named("engine.stop"), "what the end of the engine left is sent before we end"


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for loopback that nobody has signed."""
    needs("openssl")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.mark.parametrize("trusted", [True, False])
def test_passing_on_over_tls_trusts_who_it_is_told_to(tmp_path: Path, trusted: bool) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with collector(tls=context) as got:
        forward = f'[traces.forward]\nendpoint = "{got.url}"\n'
        forward += f'ca_file = "{cert}"\n' if trusted else ""
        with receiving(tmp_path, forward) as made:
            made.chat("tiny", tokens=2)
            if trusted:
                wait_for("the span", lambda: got.named("llm_request"))
            else:
                wait_for("trouble", lambda: made.samples("vllmd_otlp_forward_up") == {(): 0.0})
                assert got.requests == []


async def test_grpc_over_tls(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    listener = socket.create_server(("127.0.0.1", 0))
    taken = Taken()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    server = Server([GrpcReceiver(taken.intake)])
    await server.start(sock=listener, ssl=context)
    endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
    for ca_file, verdict in ((str(cert), Verdict.SENT), (None, Verdict.RETRY)):
        forward = Forward(endpoint=endpoint, protocol="grpc", ca_file=ca_file)
        sender = GrpcSender(Target(endpoint, tls=tls_of(forward), instance="me"))
        answer = await sender.send(Batch(export().SerializeToString(), 1))
        assert answer.verdict is verdict, answer
        await sender.close()
    assert taken.spans == 1
    server.close()
    await server.wait_closed()


def test_a_dead_backend_costs_nothing_and_gets_what_it_missed(tmp_path: Path) -> None:
    port = free_port()
    with receiving(tmp_path, f'[traces.forward]\nendpoint = "http://127.0.0.1:{port}"\n') as made:
        for _ in range(3):
            made.chat("tiny", tokens=2)
        wait_for("spans", lambda: sequences(made) == 3)
        wait_for("trouble", lambda: made.samples("vllmd_otlp_forward_up") == {(): 0.0})
        assert "forward.failed" in made.log()
        assert "s3cret" not in made.log()
        with collector(port) as got:
            wait_for("what it missed", lambda: len(got.named("llm_request")) == 3, 60)
            wait_for("recovery", lambda: made.samples("vllmd_otlp_forward_up") == {(): 1.0})
        lost = made.samples("vllmd_otlp_forward_spans_total")
        assert lost[("dropped",)] == lost[("expired",)] == lost[("refused",)] == 0


def test_what_waits_outlives_a_reload(tmp_path: Path) -> None:
    port = free_port()
    with receiving(tmp_path, f'[traces.forward]\nendpoint = "http://127.0.0.1:{port}"\n') as made:
        made.chat("tiny", tokens=2)
        wait_for("trouble", lambda: made.samples("vllmd_otlp_forward_up") == {(): 0.0})
        made.vllmd("reload")
        made.wait_state("chat", "ready")
        with collector(port) as got:
            wait_for("what it missed", lambda: got.named("llm_request"), 60)


def test_a_loop_of_two_that_pass_on_to_each_other_ends(tmp_path: Path) -> None:
    """Its address has another name, so that the configuration cannot tell."""
    first, second = free_port(), free_port()
    folder = tmp_path / "b"
    folder.mkdir()
    text = DAEMON.format(folder=folder, exporter=free_port())
    text += f"""
[traces]
listen_http = "127.0.0.1:{second}"
listen_grpc = ""
[traces.forward]
endpoint = "http://127.0.0.1:{first}"
"""
    other = Site(folder, text, exporter_port=1, api_port=1, otlp_port=second)
    exporter, api = free_port(), free_port()
    mine = tmp_path / "a"
    mine.mkdir()
    config = config_for(mine, exporter, api)
    config += f'\n[traces]\nlisten_http = "127.0.0.1:{first}"\nlisten_grpc = ""\n'
    config += f'[traces.forward]\nendpoint = "http://127.0.0.1:{second}"\n'
    made = Site(mine, config, exporter_port=exporter, api_port=api, otlp_port=first)
    with running(other), running(made):
        made.wait_state("chat", "ready")
        made.chat("tiny", tokens=2)
        wait_for("spans", lambda: sequences(made) == 1)
        time.sleep(3)
        counts = made.samples("vllmd_otlp_requests_total")
        assert sum(counts.values()) < 20, counts
        assert made.samples("vllmd_span_duplicates_total").get(("chat",), 0) <= 1


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
