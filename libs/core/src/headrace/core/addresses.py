"""Which addresses may be called from here: an allow-list in effect, judged after any disguise is off.

A receiver's address comes from a client, and whoever connects to it stands inside our network. So:

1. An address is taken apart once, here, by a grammar that leaves nothing to interpretation: no user, no
   fragment, no other alphabet, and a host that ends in a number is an IPv4 address or refused.
2. Whatever a name resolves to is judged as a number, so no notation gets by: decimal, octal, hex, or
   IPv4 inside IPv6 (mapped, and NAT64's well-known prefix).
3. Of IPv6 only what is assigned to the internet is public. Of IPv4 all but the special ranges, and the
   one address with a cloud's secrets that looks public.

What this cannot know: a NAT64 prefix of a network's own. Whoever has one sets a rule at the gateway.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from typing import Final, Literal, TypeAlias, cast

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

LONGEST: Final = 2048
_PORTS: Final = {"https": 443, "http": 80}
_HIGHEST_PORT: Final = 65_535
_PRIVILEGED: Final = 1024
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:[/?][!-~]*)?)",
    re.IGNORECASE,
)
_NOT_IN_TARGET: Final = re.compile(r'[#\\"<>^`{|}]')
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+", re.IGNORECASE)

_SPECIAL_V4: Final = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carriers'; Alibaba's metadata
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's own server, on what looks like a public address
        "169.254.0.0/16",  # link-local; everybody's metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols'; Oracle's metadata
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PUBLIC_V6: Final = IPv6Network("2000::/3")
_SPECIAL_V6: Final = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocols', with Teredo and ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which has IPv4 inside
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


class Refusal(ValueError):
    """Why an address is not called, in words for whoever gave it."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What this installation calls beside https on public addresses."""

    http: bool = False  # also without TLS
    networks: tuple[Network, ...] = ()  # though they are special: a company's own, or loopback


@dataclass(frozen=True, slots=True)
class Target:
    scheme: Literal["https", "http"]
    host: str  # in lower case, an IPv6 address without brackets
    port: int
    target: str  # the path and the query, as they go on the wire

    @property
    def authority(self) -> str:
        """As the Host header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str, reach: Reach) -> Target:
    """Raises Refusal. What a name resolves to is judged when it is called, not here."""
    found = _URL.fullmatch(url) if len(url) <= LONGEST else None
    if found is None or _NOT_IN_TARGET.search(found["target"]):
        raise Refusal(
            "write it as https://host/path: ASCII, no user or password, no fragment,"
            f" {LONGEST} characters at most"
        )
    scheme = cast("Literal['https', 'http']", found["scheme"].lower())
    if scheme == "http" and not reach.http:
        raise Refusal("only https is called")
    host = found["host"].strip("[]").lower()
    port = int(found["port"] or _PORTS[scheme])
    target = found["target"]
    known = literal(host)
    if known is not None:
        check(known, port, reach)
    elif not _is_name(host):
        raise Refusal(f"{host} is no name of a host")
    if not 0 < port <= _HIGHEST_PORT:
        raise Refusal(f"there is no port {port}")
    return Target(scheme, host, port, target if target.startswith("/") else f"/{target}")


def check(address: Address, port: int, reach: Reach) -> None:
    """Raises Refusal unless this address and port may be connected to."""
    plain = undisguised(address)
    if any(plain in each for each in reach.networks if each.version == plain.version):
        return
    if not _public(plain):
        raise Refusal(f"{address} is not a public address")
    if port < _PRIVILEGED and port not in _PORTS.values():
        raise Refusal(f"port {port} belongs to something else than the web")


def undisguised(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in each for each in _SPECIAL_V4)
    return address in _PUBLIC_V6 and not any(address in each for each in _SPECIAL_V6)


def literal(host: str) -> Address | None:
    """The address that a host is; None: it is a name. Raises Refusal: neither."""
    if ":" in host:
        try:
            return IPv6Address(host)
        except AddressValueError as error:
            raise Refusal(f"{host} is no IPv6 address") from error
    parts = host.removesuffix(".").split(".")
    if not _NUMBER.fullmatch(parts[-1]):
        return None
    return _ipv4(host, parts)


def _ipv4(host: str, parts: list[str]) -> IPv4Address:
    """As the C library reads it: one to four parts, each decimal, octal or hex, the last the longest."""
    try:
        *heads, last = [_number(part) for part in parts]
    except ValueError as error:
        raise Refusal(f"{host} is no IPv4 address") from error
    fits = len(parts) <= 4 and all(head < 256 for head in heads)  # noqa: PLR2004  # octets
    if not fits or last >= 1 << (8 * (5 - len(parts))):
        raise Refusal(f"{host} is no IPv4 address")
    return IPv4Address(last + sum(head << (24 - 8 * place) for place, head in enumerate(heads)))


def _number(part: str) -> int:
    if not _NUMBER.fullmatch(part):
        raise ValueError(part)
    if part.lower().startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8 if part.startswith("0") else 10)


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    return all(0 < len(each) <= 63 and each.strip("-") == each for each in labels)  # noqa: PLR2004  # RFC 1035


def networks(text: str) -> tuple[Network, ...]:
    """Of a comma list, as in 10.1.0.0/16,::1/128. Raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
