"""From where a URL can be dialled, as far as it tells by itself: nobody is asked."""

from __future__ import annotations

import socket
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from audiotap.errors import UsageError
from audiotap.text import without_path

NETWORKS = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")))
"""Networks of one's own, and that which a provider or a VPN has among its customers."""


class Reach(IntEnum):
    """Who can dial a URL: nobody, this machine, our own network, or everybody."""

    NOWHERE = 0
    HERE = 1
    NEAR = 2
    ANYWHERE = 3


WHAT = {
    Reach.NOWHERE: "which is no address to dial, but stands for every one of a machine",
    Reach.HERE: "which is this machine",
    Reach.NEAR: "which is known in your own network only",
}


def reach(url: str) -> Reach:
    """From where a URL can be dialled. Names are taken for everybody's if they have a dot."""
    host = _host(url)
    address = _address(host)
    if address is None:
        if host.split(".")[-1] == "localhost":
            return Reach.HERE
        return Reach.ANYWHERE if "." in host and not host.endswith(".local") else Reach.NEAR
    if address.is_unspecified:
        return Reach.NOWHERE
    if address.is_loopback:
        return Reach.HERE
    own = address.is_link_local or any(_within(address, network) for network in NETWORKS)
    return Reach.NEAR if own else Reach.ANYWHERE


def check_reach(url: str, who: str, whence: Reach = Reach.ANYWHERE) -> None:
    """UsageError where somebody cannot dial a URL from as far away as they are."""
    found = reach(url)
    if found < max(whence, Reach.HERE):
        raise unreachable(f"{who} cannot reach {without_path(url)}, {WHAT[found]}", url)


def unreachable(problem: str, url: str) -> UsageError:
    """A URL that bots cannot dial, and what to type."""
    port = urlsplit(url).port or 8765
    return UsageError(
        problem,
        f"make the port reachable: audiotap listen --port {port} --tunnel cloudflared; or, where a tunnel, a proxy or "
        "--tls-cert does that, tell its name: audiotap listen --public-url wss://YOUR-NAME:PORT/",
    )


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a host is written as, also as 127.1 or ::ffff:127.0.0.1; None for a name."""
    try:
        address = ip_address(host)
    except ValueError:
        try:
            return IPv4Address(socket.inet_aton(host))
        except (OSError, ValueError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _within(address: IPv4Address | IPv6Address, network: IPv4Network | IPv6Network) -> bool:
    return address.version == network.version and address in network
