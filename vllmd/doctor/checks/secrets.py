"""Every user of the host can read a secret, or replace what is vllmd's."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "secrets"


def check(case: Case) -> Iterator[Finding]:
    """Find files with secrets and folders whose modes are too wide."""
    for path in case.host.readable_secrets:
        yield Finding(
            ID,
            Severity.WARNING,
            f"{path} has secrets, and every user of this host may read it",
            "Who has the token or the key is who it was given to.",
            f"chmod 640 {path}; chgrp vllmd {path}",
        )
    for path in case.host.writable_folders:
        yield Finding(
            ID,
            Severity.WARNING,
            f"every user of this host may write to {path}",
            "Sockets, logs and the history there could be replaced by anybody.",
            f"chmod o-w {path}",
        )
