"""Which addresses a store may be reached at, where its author is a tenant and chooses the address.

A namespaced store is written by people who may reach less of the network than Keyferry does. What they name must not
be the machine's own services, the cloud's metadata service, or what an administrator keeps from them. Names are judged
by what they resolve to at the moment of the connection, so that no answer of a name server gets around the rule.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from keyferry.errors import Denied

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_REFUSED = tuple(
    ipaddress.ip_network(each)
    for each in (
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
        *("::/128", "::1/128", "fe80::/10", "ff00::/8"),
        # Metadata services outside of the link-local range: Alibaba, Azure's wire server, Oracle, AWS over IPv6.
        *("100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd00:ec2::254/128"),
    )
)


_NUMERIC = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+))*\.?")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Addresses:
    """What is refused: loopback, link-local, metadata services, and ``refused``; ``allowed`` goes before both."""

    allowed: tuple[Network, ...] = ()
    refused: tuple[Network, ...] = ()
    everything: bool = field(default=False, kw_only=True)
    """Nothing is refused: a ClusterSecretStore is written by an administrator."""

    def check(self, host: str, address: str) -> None:
        """Raises ``Denied`` where ``address``, that ``host`` stands for, must not be reached."""
        if self.everything:
            return
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            raise Denied(f'"{host}" has no address that can be judged') from None
        for each in (parsed, _within_ipv6(parsed)):
            if each is not None and not _within(each, self.allowed) and _within(each, (*_REFUSED, *self.refused)):
                raise Denied(
                    f'a SecretStore may not reach "{host}"',
                    remedy="its address is the machine's own, a metadata service's or one that an administrator "
                    "refuses; an administrator can allow it, or use a ClusterSecretStore",
                )

    def check_literal(self, host: str) -> None:
        """Raises ``Denied`` where a host is an address that must not be reached; names are judged when they resolve.

        What only looks like an address in an old spelling (``127.1``, ``0x7f000001``, ``2130706433``) is refused:
        resolvers take it for one, each in its own way.
        """
        bare = host.strip("[]")
        try:
            ipaddress.ip_address(bare.partition("%")[0])
        except ValueError:
            if not _NUMERIC.fullmatch(bare):
                return
        self.check(host, bare)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks in CIDR notation, or single addresses. Raises ``ValueError`` for what is neither."""
    return tuple(ipaddress.ip_network(each, strict=False) for each in texts)


def literal(host: str) -> tuple[Network, ...]:
    """The network of a host that is an address; nothing for a name."""
    try:
        return networks([host])
    except ValueError:
        return ()


def _within_ipv6(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, 6to4 (RFC 3056) or NAT64 (RFC 6052)."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, ranges: Iterable[Network]) -> bool:
    return any(address in each for each in ranges)
