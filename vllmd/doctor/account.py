"""The user that engines run as, and what that user may read."""

import os
import pwd
import stat
from pathlib import Path

import attrs

SERVICE = "vllmd"
HIDDEN = ("/home", "/root", "/run/user")
"""What ProtectHome=yes of the unit hides."""


@attrs.frozen
class UserAccount:
    """A user of this host."""

    name: str
    uid: int
    groups: frozenset[int]
    confined: bool = False
    """It runs in the package's unit, which hides the homes of people."""

    def may(self, path: Path, bit: int = stat.S_IROTH) -> bool:
        """Tell whether the mode of a file or folder lets it read (or write, or enter).

        Raises: OSError: the path is not there.
        """
        found = path.stat()
        if self.uid == 0:
            return True
        if found.st_uid == self.uid:
            return bool(found.st_mode & bit << 6)
        if found.st_gid in self.groups:
            return bool(found.st_mode & bit << 3)
        return bool(found.st_mode & bit)

    def barrier(self, path: Path) -> str | None:
        """Say what keeps it from reading a file or a folder; None if nothing does."""
        real = path.resolve()
        if self.confined:
            for hidden in HIDDEN:
                if real.is_relative_to(hidden):
                    return f"{real}: ProtectHome hides {hidden} from the unit"
        try:
            for folder in reversed(real.parents):
                if not self.may(folder, stat.S_IXOTH):
                    return f"{folder}: user {self.name} may not enter it"
            if not self.may(real):
                return f"{real}: user {self.name} may not read it"
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return None


def of_engines(*, unit: bool) -> UserAccount:
    """Return the user that engines run as: the service's, where its unit is and root asks."""
    if unit and os.geteuid() == 0:
        try:
            entry = pwd.getpwnam(SERVICE)
        except KeyError:
            pass
        else:
            groups = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
            return UserAccount(entry.pw_name, entry.pw_uid, groups, confined=True)
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return UserAccount(name, uid, frozenset(os.getgroups()))
