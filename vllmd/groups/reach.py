"""Can a host be reached? Asked by TCP alone: what is wrong with its page does not matter here."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address

CONNECT_S = 3.0
RESOLVE_S = 5.0
NOTHING_CAME_BACK = frozenset({errno.EHOSTUNREACH, errno.EHOSTDOWN})
"""By what the kernel says that nobody answers at an address. All else is of this host: no route,
no descriptor, no right."""
CAME_BACK = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})


async def is_cut(addresses: Collection[str], port: int) -> bool | None:
    """Tell whether nothing comes back from a host that is known by some addresses.

    Returns: None if that is not known: there is no address, or this host can ask nobody.
    """
    found = await asyncio.gather(*(_nothing_from(address, port) for address in addresses))
    if False in found:
        return False
    return True if True in found else None


async def _nothing_from(address: str, port: int) -> bool | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as made:
            made.setblocking(False)
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(made, (address, port))
    except TimeoutError:  # the kernel's own ETIMEDOUT, too
        return True
    except OSError as error:
        return False if error.errno in CAME_BACK else error.errno in NOTHING_CAME_BACK or None
    return False


def plain(address: IPv4Address | IPv6Address) -> str:
    """Return an address as text; one of IPv4 that a socket of IPv6 shows, as IPv4 has it."""
    return str(getattr(address, "ipv4_mapped", None) or address)


def literal(name: str) -> frozenset[str]:
    """Return the address that a host is named by; nothing if that is a name."""
    with contextlib.suppress(ValueError):
        return frozenset({str(ip_address(name))})
    return frozenset()


async def resolve(name: str) -> frozenset[str]:
    """Return the addresses of a host; none where no name server answers in time."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError, TimeoutError, UnicodeError):  # of a name such as a..b
        async with asyncio.timeout(RESOLVE_S):
            found = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            return frozenset(str(each[4][0]) for each in found)
    return frozenset()
