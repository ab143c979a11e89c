"""Spans passed on by a whole vllmd: to collectors, over TLS, to a second one, and round."""

import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.otlp import Taken, export
from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, needs, running, wait_for
from tests.helpers.tracing import Collector, collector, trace_headers
from tests.integration.conftest import receiving, sequences
from vllmd.config.traces import ForwardConfig
from vllmd.demo.adapter import write_adapter
from vllmd.traces.forward.answer import ExportOutcome
from vllmd.traces.forward.queue import Batch
from vllmd.traces.forward.senders import ExportTarget, GrpcSender
from vllmd.traces.grpc import GrpcReceiver, GrpcServer
from vllmd.traces.service import tls_of

REQUESTS = "vllmd_span_requests_total"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_spans_are_passed_on_with_our_own(tmp_path: Path, protocol: str) -> None:
    """Over gRPC to another vllmd, which passes them on over HTTP to the collector."""
    with collector() as got:
        if protocol == "grpc":
            over = free_port()
            traces = '[traces]\nlisten_http = ""\n'
            traces += f'listen_grpc = "127.0.0.1:{over}"\n'
            traces += f'[traces.forward]\nendpoint = "{got.url}"\n'
            with second(tmp_path / "b", traces):
                endpoint = f"http://127.0.0.1:{over}"
                _pass_on(tmp_path / "a", endpoint, protocol, got)
        else:
            _pass_on(tmp_path / "a", got.url, protocol, got)
            assert got.headers[0]["x-scope-orgid"] == "ops"


@contextmanager
def second(folder: Path, traces: str) -> Iterator[Site]:
    """Run another vllmd, which only receives and passes on."""
    folder.mkdir()
    text = DAEMON.format(folder=folder, exporter=free_port()) + traces
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
        more = str(write_adapter(folder / "more"))
        assert made.vllmd("lora", "add", "more", more).returncode == 0
        # one in the start after the kill, one by itself
        wait_for("changes of adapters", lambda: len(got.named("engine.lora_change")) >= 2)
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
    server = GrpcServer(GrpcReceiver(taken.intake), tls=lambda: context)
    await server.start(listener)
    endpoint = f"https://127.0.0.1:{listener.getsockname()[1]}"
    for ca_file, verdict in ((str(cert), ExportOutcome.SENT), (None, ExportOutcome.RETRY)):
        forward = ForwardConfig(endpoint=endpoint, protocol="grpc", ca_file=ca_file)
        sender = GrpcSender(ExportTarget(endpoint, tls=tls_of(forward), instance="me"))
        answer = await sender.send(Batch(export().SerializeToString(), 1))
        assert answer.verdict is verdict, answer
        await sender.close()
    assert taken.spans == 1
    await server.close()


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
    """Each sends to the other, which the configuration of one cannot tell."""
    over = free_port()
    mine = tmp_path / "a"
    mine.mkdir()
    with receiving(mine, f'[traces.forward]\nendpoint = "http://127.0.0.1:{over}"\n') as made:
        traces = f'[traces]\nlisten_http = "127.0.0.1:{over}"\nlisten_grpc = ""\n'
        traces += f'[traces.forward]\nendpoint = "{made.otlp}"\n'
        with second(tmp_path / "b", traces):
            made.chat("tiny", tokens=2)
            wait_for("spans", lambda: sequences(made) == 1)
            time.sleep(3)
            counts = made.samples("vllmd_otlp_requests_total")
            assert sum(counts.values()) < 20, counts
            assert counts["refused", "http"] >= 1, "nothing came back"
            assert made.samples("vllmd_span_duplicates_total").get(("chat",), 0) <= 1
