"""Which address a call comes from: the socket's peer, unless a trusted proxy says otherwise."""

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNKNOWN = "0.0.0.0"  # noqa: S104 - stands for 'nobody', nothing is bound to it


def peer_address(scope: Any) -> str:
    """Who holds the other end of the socket; UNKNOWN on a Unix socket."""
    client = scope.get("client")
    return str(client[0]) if client and client[0] else UNKNOWN


def client_address(scope: Any, trusted: Sequence[Network]) -> str:
    """The last address on the way in that is no trusted proxy; without trusted proxies, the peer."""
    address = peer_address(scope)
    if not trusted or not is_within(address, trusted):
        return address
    hops = [
        hop.strip()
        for name, value in scope["headers"]
        if name == b"x-forwarded-for"
        for hop in value.decode("latin-1").split(",")
    ]
    for hop in reversed(hops):
        if _parse(hop) is None:
            break
        address = hop
        if not is_within(hop, trusted):
            break
    return address


def is_within(address: str, networks: Iterable[Network]) -> bool:
    parsed = _parse(address)
    if parsed is None:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed.version == network.version and parsed in network for network in networks)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Whom to count an address as: an IPv4 address as itself, an IPv6 one as its /64.

    Providers hand out no less than a /64 (RFC 6177), so that anybody can call from 2^64 addresses.
    """
    parsed = _parse(address)
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is None:
            return str(ipaddress.ip_network((parsed, 64), strict=False))
        parsed = parsed.ipv4_mapped
    return str(parsed)


@lru_cache(maxsize=4096)
def wide_network_of(address: str) -> str:
    """The network that somebody with more than one address is likely to have: an IPv4 /24, an IPv6 /64."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(ipaddress.ip_network((parsed, 24), strict=False))
    return network_of(address)


def was_forwarded(scope: Any) -> bool:
    """Whether some proxy, trusted or not, stands between the client and us."""
    return any(name in (b"x-forwarded-for", b"forwarded", b"x-real-ip") for name, _ in scope["headers"])


def _parse(address: str) -> Address | None:
    try:
        return ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return None
