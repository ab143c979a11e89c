"""The life of the package, from its installation to its purge, with the stand-in engine."""

from . import daemon_faults, first_run, gpu, installation, package, reloads, serving, stops
from .cases import Case, run, stops_all

CASES = (
    Case("apt install from a signed repository: disabled, nothing runs", installation.installed),
    Case("hardening of the units, beside those of others", package.hardening, again=False),
    Case(
        "debian/tests: serves, dies, says why, serves again, stops",
        package.autopkgtest,
        again=False,
    ),
    Case("enable --now without an engine: active, scraped", installation.enabled),
    Case(
        "manual pages, completions, the GPU unit on a host without one",
        package.what_lies_there,
        again=False,
    ),
    Case("runbooks, rules and configurations came along", installation.came_along, again=False),
    Case(
        "first run: init, a start without vLLM, engine install, it serves",
        first_run.configuration_first,
        again=False,
    ),
    Case(
        "first run: engine install, init, enable --now, it serves",
        first_run.engine_first,
        again=False,
    ),
    Case("an engine is configured: serves as a unit of its own", serving.in_its_unit),
    Case(
        "STATUS: the phase of a load, and what is left of it", serving.shows_its_load, again=False
    ),
    Case("kill -9 of the daemon under load", daemon_faults.killed, again=False),
    Case("watchdog kill of a frozen daemon under load", daemon_faults.frozen, again=False),
    Case(
        "handover: systemctl restart vllmd-daemon under load", daemon_faults.restarted, again=False
    ),
    Case(
        "daemon and its ports stopped for a while: the engine serves on, and is adopted",
        daemon_faults.stopped_for_a_while,
        again=False,
    ),
    Case("kill -9 of the shim: its tree is gone, the engine restarted", serving.loses_its_shim),
    Case(
        "gpu: a library's readings, by owner, under the unit's hardening",
        gpu.owners_are_told,
        again=False,
    ),
    Case(
        "why: the same words with the daemon up and down, from a file of its own user",
        serving.says_why,
        again=False,
    ),
    Case(
        "logs: rotated and compressed as their own user, copied to the journal with fields",
        serving.keeps_its_log,
        again=False,
    ),
    Case("journal: the daemon's events have fields, and read well", package.journal, again=False),
    Case("secrets: an API key from /etc/vllmd/credentials", package.secrets),
    Case("secrets: one that came after the daemon is named", package.late_secret, again=False),
    Case(
        "exporter: asks for a password; its socket's unit decides where it listens",
        package.exporter_access,
        again=False,
    ),
    Case("needrestart leaves vllmd alone", package.needrestart, again=False),
    Case("broken configuration: adopts, says so, goes on once mended", reloads.broken, again=False),
    Case(
        "reload under load: a broken file changes nothing, a good one is read",
        reloads.under_load,
        again=False,
    ),
    Case("apt upgrade to 0.1.1 under load", installation.upgrade, again=False),
    Case("downgrade to 0.1.0 under load", installation.downgrade, again=False),
    Case("systemctl restart vllmd: a cold restart, exactly one shim", stops.restart, again=False),
    Case("systemctl stop, daemon healthy", stops_all),
    Case("systemctl stop, daemon killed a moment before", stops.after_a_kill, again=False),
    Case(
        "OOM kill of the daemon under load, until it has memory again", daemon_faults.out_of_memory
    ),
    Case(
        "systemctl stop, daemon failed; the engine served on until then",
        stops.of_a_failed_daemon,
        again=False,
    ),
    Case("systemctl stop, daemon frozen", stops.of_a_frozen_daemon, again=False),
    Case("vllmd stop lasts across the daemon", stops.across_the_daemon, again=False),
    Case(
        "the classic unit beside vllmd, in the same faults",
        daemon_faults.beside_the_classic_unit,
        again=False,
    ),
    Case("dpkg --verify: nothing has changed", package.unchanged, again=False),
    Case("remove: stopped and gone, conffile kept", installation.removed, again=False),
    Case("purge, reinstall", installation.purged, again=False),
    Case("it serves, with time to drain", serving.with_time_to_drain),
)
"""In order: each goes on where the one before it ended."""


def main() -> None:
    """Run every case; leave an engine serving."""
    for each in CASES:
        run(each)
