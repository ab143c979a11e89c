"""TLS and passwords of the exporter, with a real Prometheus."""

import os
import re
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import bcrypt
import httpx
import pytest

from tests.helpers.prometheus import prometheus
from tests.helpers.site import VLLMD, Site, wait_for
from tests.helpers.web import CERTIFICATES, HASH, MUTUAL, PASSWORD, TLS, USERS, write
from tests.helpers.web_site import GOOD, certificate_of, page, site_with
from vllmd.config.problem import InvalidConfigError
from vllmd.http import web_file

HTTPS = f"scheme: https\ntls_config: {{ ca_file: {CERTIFICATES}/authority.pem }}\n"
CERTIFICATE = (
    "scheme: https\ntls_config: {{ ca_file: {0}/authority.pem, cert_file: {0}/{1}.pem, "
    "key_file: {0}/{1}.key }}\n"
)
LOGIN = 'basic_auth: {{ username: "{0}", password: "{1}" }}\n'
RIGHT, WRONG = LOGIN.format(*GOOD), LOGIN.format("prometheus", "wrong")
OURS, STRANGERS = (CERTIFICATE.format(CERTIFICATES, name) for name in ("client", "unknown"))

NOT_ALLOWED = "server returned HTTP status 401 Unauthorized"
PLAIN = "HTTP status 400"
REFUSED = (
    "tls: (unknown certificate authority|certificate required|bad certificate)|EOF|reset|closed"
)

ALLOWED = "  client_allowed_sans: [{}]\n"
MODES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "tls": (
        TLS,
        {
            "right": (HTTPS, ""),
            "plain": ("", PLAIN),
            "untrusting": ("scheme: https\n", "certificate signed by unknown authority"),
        },
    ),
    "mutual": (
        MUTUAL,
        {
            "right": (OURS, ""),
            "none": (HTTPS, REFUSED),
            "stranger": (STRANGERS, REFUSED),
            "plain": ("", PLAIN),
        },
    ),
    "named": (
        MUTUAL + ALLOWED.format("prometheus.example"),
        {"right": (OURS, ""), "none": (HTTPS, REFUSED)},
    ),
    "others-named": (MUTUAL + ALLOWED.format("other.example"), {"other": (OURS, REFUSED)}),
    "password": (
        USERS,
        {
            "right": (RIGHT, ""),
            "none": ("", NOT_ALLOWED),
            "wrong": (WRONG, NOT_ALLOWED),
            "nobody": (LOGIN.format("nobody", PASSWORD), NOT_ALLOWED),
            "tls": (HTTPS + RIGHT, "server gave HTTP response to HTTPS client"),
        },
    ),
    "both": (
        MUTUAL + USERS,
        {
            "right": (OURS + RIGHT, ""),
            "no-password": (OURS, NOT_ALLOWED),
            "wrong-password": (OURS + WRONG, NOT_ALLOWED),
            "no-certificate": (HTTPS + RIGHT, REFUSED),
        },
    ),
}


@pytest.mark.parametrize("mode", MODES)
def test_prometheus_scrapes_with_the_right_and_with_nothing_else(tmp_path: Path, mode: str) -> None:
    web, jobs = MODES[mode]
    with site_with(tmp_path, web) as made:
        target = made.exporter.removeprefix("http://")
        given = {name: more for name, (more, _) in jobs.items()}
        with prometheus(tmp_path / "prometheus", target, jobs=given) as scraper:
            wait_for(
                "scrapes of all jobs",
                lambda: len(scraper.query("count_over_time(up[1h]) >= 2")) == len(jobs),
            )
            errors = scraper.target_errors()
            for name, (_, error) in jobs.items():
                up = scraper.value(f'up{{job="{name}"}}')
                assert up == (0 if error else 1), (name, errors[name])
                assert re.search(error, errors[name]), (name, errors[name])
                infos = scraper.query(f'vllmd_build_info{{job="{name}"}}')
                assert bool(infos) is not bool(error), name


CASES: dict[str, tuple[str, bool, bool]] = {
    "empty": ("", True, True),
    "tls": (TLS, True, True),
    "mutual": (MUTUAL, True, True),
    "users": (USERS, True, True),
    "all versions": (f"{TLS}  min_version: TLS12\n  max_version: TLS13\n", True, True),
    "suites": (f"{TLS}  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n", True, True),
    "curve": (f"{TLS}  curve_preferences: [CurveP521]\n", True, True),
    "headers": ("http_server_config: {headers: {X-Frame-Options: deny}}\n", True, True),
    "number as header": ("http_server_config: {headers: {X-XSS-Protection: 1}}\n", True, True),
    "boolean of YAML 1.1": (f"{TLS}  prefer_server_cipher_suites: off\n", True, True),
    "if given": (
        MUTUAL.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"),
        True,
        True,
    ),
    "unknown key": ("tls_server_config: {cert_filse: a}\n", False, False),
    "unknown table": ("tls_config: {}\n", False, False),
    "twice": (f"{USERS}  prometheus: {HASH}\n", False, False),
    "no key": ("tls_server_config: {cert_file: server.pem}\n", False, False),
    "no such file": ("tls_server_config: {cert_file: a, key_file: b}\n", False, False),
    "other key": (
        "tls_server_config: {cert_file: server.pem, key_file: client.key}\n",
        False,
        False,
    ),
    "encrypted key": (
        "tls_server_config: {cert_file: server.pem, key_file: encrypted.key}\n",
        False,
        False,
    ),
    "authority for nothing": (f"{TLS}  client_ca_file: authority.pem\n", False, False),
    "unknown type": (f"{TLS}  client_auth_type: Require\n", False, False),
    "unknown version": (f"{TLS}  min_version: TLS111\n", False, False),
    "unknown suite": (f"{TLS}  cipher_suites: [TLS_X]\n", False, False),
    "unknown curve": (f"{TLS}  curve_preferences: [CurveP257]\n", False, False),
    "unknown header": ("http_server_config: {headers: {Server: x}}\n", False, False),
    "wrong header": ("http_server_config: {headers: {X-Frame-Options: x}}\n", False, False),
    "no hash": ("basic_auth_users: {ann: doe}\n", False, False),
    "no table": ("- a\n", False, False),
    "no YAML": ("tls_server_config: [\n", False, False),
    "quoted boolean": (f'{TLS}  prefer_server_cipher_suites: "true"\n', False, False),
    # what Python's ssl cannot do, and what lets in more than its writer thinks
    "any certificate": (f"{TLS}  client_auth_type: RequireAnyClientCert\n", True, False),
    "asked for": (f"{TLS}  client_auth_type: RequestClientCert\n", True, False),
    "old versions": (f"{TLS}  min_version: TLS10\n", True, False),
    "versions crossed": (f"{TLS}  min_version: TLS13\n  max_version: TLS12\n", True, False),
    "several curves": (f"{TLS}  curve_preferences: [X25519, CurveP256]\n", True, False),
    "no authority in it": (
        MUTUAL.replace("authority.pem", "server.key"),
        True,
        False,
    ),
    # newer than Debian's promtool
    "allowed names": (f"{MUTUAL}  client_allowed_sans: [a]\n", False, True),
    "rate limit": ("rate_limit: {interval: 1s, burst: 2}\n", False, True),
    "inline": ("tls_server_config: {cert: a, key: b}\n", False, False),
}


@pytest.mark.parametrize("case", CASES)
def test_file_is_taken_as_prometheus_takes_it(tmp_path: Path, case: str) -> None:
    text, theirs, ours = CASES[case]
    path = write(tmp_path, text)
    said = subprocess.run(
        ["promtool", "check", "web-config", str(path)], capture_output=True, text=True, check=False
    )
    assert (said.returncode == 0) is theirs, said.stdout + said.stderr
    try:
        web_file.load(path)
        taken = True
    except InvalidConfigError:
        taken = False
    assert taken is ours


# --- while it runs ---------------------------------------------------------------------------


def in_binary(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((CERTIFICATES / f"{name}.pem").read_text())


def is_good(made: Site) -> bool:
    """Tell what the page says of the web configuration; what was written may be a second old."""
    return "vllmd_web_config_last_reload_successful 1.0" in page(made).text


def test_certificates_and_users_are_read_again_and_a_broken_file_changes_nothing(
    tmp_path: Path,
) -> None:
    with site_with(tmp_path, TLS + USERS) as made:
        web = tmp_path / "web"
        pid = made.control.status()["daemon"]["pid"]
        assert certificate_of(made) == in_binary("server")
        wait_for("the page", lambda: is_good(made) is True)

        shutil.copy(CERTIFICATES / "renewed.pem", web / "server.pem")  # half of a renewal
        time.sleep(2 * web_file.LOOK_EVERY_S)
        assert certificate_of(made) == in_binary("server")
        wait_for("the page", lambda: is_good(made) is False)
        shown = made.vllmd("status").stdout
        assert "the web configuration cannot be used, what was read before still holds" in shown
        shutil.copy(CERTIFICATES / "renewed.key", web / "server.key")
        time.sleep(2 * web_file.LOOK_EVERY_S)
        assert certificate_of(made) == in_binary("renewed")
        wait_for("the page", lambda: is_good(made) is True)
        assert "web configuration" not in made.vllmd("status").stdout

        other = bcrypt.hashpw(b"another", bcrypt.gensalt(4)).decode()
        (web / "web.yml").write_text(f"{TLS}basic_auth_users: {{ann: {other}}}\n")
        time.sleep(2 * web_file.LOOK_EVERY_S)
        assert page(made).status_code == 401
        assert page(made, ("ann", "another")).status_code == 200

        (web / "web.yml").write_text("broken")
        assert made.vllmd("reload").returncode == 0  # its own file is as it was
        assert page(made, ("ann", "another")).status_code == 200
        assert page(made).status_code == 401
        assert made.control.status()["daemon"]["pid"] == pid
        told = wait_for(
            "events", lambda: made.vllmd("events", "--json").stdout.count("web_config.refused") >= 2
        )
        assert told
        for secret in (PASSWORD, HASH, other, "another"):
            assert secret not in made.log() + made.vllmd("events", "--json").stdout


def test_daemon_of_a_service_comes_up_with_a_broken_file_and_lets_nobody_in(
    tmp_path: Path,
) -> None:
    with site_with(tmp_path, USERS) as made:
        made.wait_state("chat", "ready")
        run = made.engine("chat")["run_id"]
        made.kill_daemon()
        (tmp_path / "web" / "web.yml").write_text("broken")
        with (tmp_path / "daemon.log").open("ab") as log:  # in the foreground it ends, and says why
            made.daemon = subprocess.Popen(
                [*_command(made)], stderr=log, env=_environment(made), start_new_session=True
            )
        assert made.daemon.wait(30) == 78
        assert f"{tmp_path}/web/web.yml:1: error: is not a table of keys" in made.log()
        with (tmp_path / "daemon.log").open("ab") as log:
            made.daemon = subprocess.Popen(
                [*_command(made), "--service"],
                stderr=log,
                env=_environment(made),
                start_new_session=True,
            )
        wait_for("the control socket", made._status)
        assert made.engine("chat")["run_id"] == run
        answer = httpx.get(f"{made.exporter}/metrics", auth=GOOD, trust_env=False)
        assert answer.status_code == 503
        assert "vllmd_" not in answer.text
        (tmp_path / "web" / "web.yml").write_text(USERS)
        wait_for(
            "the page",
            lambda: (
                httpx.get(f"{made.exporter}/metrics", auth=GOOD, trust_env=False).status_code == 200
            ),
        )


def _command(made: Site) -> list[str]:
    return [str(VLLMD), "run", "--config", str(made.config)]


def _environment(made: Site) -> dict[str, str]:
    return {**os.environ, **made.env, "STATE_DIRECTORY": str(made.folder / "state")}
