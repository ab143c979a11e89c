"""The two tables of the overview: a line for each engine, and a line for each alert. Pure."""

from vllmd.monitoring.dashboards.looks import YES_IS_GOOD
from vllmd.monitoring.dashboards.panels import ENGINES, LATENCY, RATE, Panel, Query
from vllmd.monitoring.dashboards.states import STATE_WORDS, state_expr
from vllmd.monitoring.dashboards.tables import TableColumn
from vllmd.monitoring.rules import BY_ENGINE
from vllmd.monitoring.settings import RuleSettings

_ENGINE = "by (instance, vllmd_engine)"
_KEPT = "${datasource:queryparam}&var-instance=${__data.fields.Host}"
ENGINE_LINK = (
    "Its dashboard",
    f"/d/vllmd-engine?{_KEPT}&var-engine=${{__data.fields.Engine}}&${{__url_time_range}}",
)
HOST_LINK = ("Its page: state, log, requests", "http://${__data.fields.Host}/")
GPU_LINK = ("Its GPUs", f"/d/vllmd-gpu?{_KEPT}&${{__url_time_range}}")
RUNBOOK_LINK = (
    "What to do",
    "http://${__data.fields.Host}/runbooks/${__data.fields.Alert}?engine=${__data.fields.Engine}",
)
COST_LINK = ("Adapters, cost, caching", f"/d/vllmd-adapters-and-cost?{_KEPT}&${{__url_time_range}}")
_ERRORS = ((RuleSettings().errors_ratio, "red"),)
_FULL = ((RuleSettings().kv_ratio, "orange"),)
SEVERITIES = {"critical": ("", "red"), "warning": ("", "orange"), "info": ("", "blue")}


def engines() -> Panel:
    """Return the panel of engines: those that do not serve first."""
    http = f'http_requests_total{{status=~"5..",{ENGINES}}}'
    every = f"http_requests_total{{{ENGINES}}}"
    asleep = f'vllmd_engine_state{{state="sleeping",{ENGINES}}} == 1'
    gone = f"(vllmd_engine_up{{{ENGINES}}} == 0 unless on (instance, vllmd_engine) {asleep})"
    bad = RuleSettings().ttft_s
    queries = [
        state_expr(),
        f"max by (instance, vllmd_engine, cause) (vllmd_engine_failure_info{{{ENGINES}}}) "
        f"and on (instance, vllmd_engine) {gone}",
        f"max {_ENGINE} (time() - vllmd_engine_state_change_timestamp_seconds{{{ENGINES}}})",
        f"vllmd:time_to_first_token_seconds:p95{{{ENGINES}}} >= 0",
        f"({BY_ENGINE} (rate({http}{RATE})) or {BY_ENGINE} (rate({every}{RATE})) * 0) "
        f"/ ({BY_ENGINE} (rate({every}{RATE})) > 0)",
        f"max {_ENGINE} (vllmd_kv_cache_usage_ratio{{{ENGINES}}})",
        f"min {_ENGINE} (vllmd_gpu_memory_restart_margin_bytes{{{ENGINES}}})",
        f"{BY_ENGINE} (vllmd_cost_per_hour{{{ENGINES}}})",
        f"max by (instance, vllmd_engine, version) (vllmd_engine_version_info{{{ENGINES}}})",
    ]
    return Panel(
        "Engines",
        "Those that do not serve are first. A click on an engine, a host or a margin leads on.",
        "short",
        [Query(expr, "{{vllmd_engine}}") for expr in queries],
        "table",
        24,
        8,
        minimum=None,
        nothing="no engine is known on these hosts",
        columns=[
            TableColumn("instance", "Host", link=HOST_LINK),
            TableColumn("vllmd_engine", "Engine", link=ENGINE_LINK),
            TableColumn("A", "State", words=STATE_WORDS, width=100),
            TableColumn("C", "For", "s", width=85),
            TableColumn("cause", "Ended by", width=175),
            TableColumn("D", "TTFT p95", LATENCY, steps=((bad, "red"),), width=95),
            TableColumn("E", "HTTP 5xx", "percentunit", 1, _ERRORS, width=95),
            TableColumn("F", "KV cache", "percentunit", 0, _FULL, width=90),
            TableColumn("G", "Restart margin", "bytes", 1, YES_IS_GOOD, link=GPU_LINK, width=125),
            TableColumn("H", "Cost an hour", decimals=2, link=COST_LINK, width=115),
            TableColumn("version", "vLLM", width=90),
        ],
        first="-State",
    )


def alerts() -> Panel:
    """Return the panel of alerts that fire: critical ones first."""
    where = 'alertname=~"Vllmd.+",alertname!="VllmdWatchdog",instance=~"$instance|"'
    return Panel(
        "Alerts that fire",
        "Critical ones first. A click on the alert leads to its runbook: what to do.",
        "s",
        [
            Query(
                "max by (severity, alertname, instance, vllmd_engine, gpu) (time() - "
                f"ALERTS_FOR_STATE{{{where}}} and ignoring (alertstate) "
                f'ALERTS{{alertstate="firing",{where}}})',
                "{{alertname}}",
            )
        ],
        "table",
        12,
        9,
        nothing="no alert fires",
        columns=[
            TableColumn("severity", "Severity", words=SEVERITIES, width=80),
            TableColumn("alertname", "Alert", link=RUNBOOK_LINK, width=205),
            TableColumn("instance", "Host"),
            TableColumn("vllmd_engine", "Engine", link=ENGINE_LINK, width=70),
            TableColumn("gpu", "GPU", width=55),
            TableColumn("A", "For", "s", width=95),
        ],
        first="Severity",
    )
