"""Which addresses are called: public ones alone, in whatever notation, unless a rule says more."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.addresses import (
    Reach,
    Refusal,
    check,
    literal,
    networks,
    target_of,
)

PUBLIC = Reach()
DEVELOPING = Reach(http=True, networks=networks("127.0.0.0/8,::1/128"))


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.1", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.9"),
        *("168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192"),
        *("192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.9"),
        *("224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "fc00::1", "fd00:ec2::254"),
        *("fe80::1", "fec0::1", "ff02::1", "2001::1", "2001:10::1", "2001:20::1", "2001:db8::1"),
        *("2002:7f00:1::", "3fff::1", "4000::1", "::ffff:0:7f00:1"),
    ],
)  # fmt: skip
def test_special_addresses_are_not_called(address: str) -> None:
    with pytest.raises(Refusal, match="not a public address"):
        check(ip_address(address), 443, PUBLIC)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1"),
        *("168.63.129.17", "192.0.1.1", "223.255.255.255"),
        *("2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808", "::ffff:8.8.8.8"),
    ],
)
def test_public_addresses_are(address: str) -> None:
    check(ip_address(address), 443, PUBLIC)


@pytest.mark.parametrize(
    "host",
    [
        *("2130706433", "0x7f000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1"),
        *("0x7f.0.0.1", "0x7F.0x0.0x0.0x1", "127.0.0.1.", "0", "0x", "0xa9fea9fe", "169.254.43518"),
        *("[::ffff:7f00:1]", "[::1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[64:ff9b::127.0.0.1]"),
    ],
)
def test_no_notation_hides_a_special_address(host: str) -> None:
    with pytest.raises(Refusal, match="not a public address"):
        target_of(f"https://{host}/", PUBLIC)


@pytest.mark.parametrize("host", ["08.8.8.8", "1.2.3.4.5", "256.1.1.1", "1.2.3.256", "4294967296"])
def test_what_ends_in_a_number_is_an_address_or_nothing(host: str) -> None:
    with pytest.raises(Refusal, match="no IPv4 address"):
        target_of(f"https://{host}/", PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "receiver.example",
        "ftp://receiver.example/",
        "//receiver.example/",
        "https:///path",
        "https://user:password@receiver.example/",
        "https://receiver.example#@127.0.0.1/",
        "https://receiver.example/#fragment",
        "https://receiver.example\\@127.0.0.1/",
        "https://receiver.example/a b",
        "https://receiver.example/\r\nHost: other",
        "https://receiver.example/\N{SNOWMAN}",
        "https://\N{FULLWIDTH DIGIT ONE}27.0.0.1/",
        "https://[fe80::1%25eth0]/",
        "https://receiver.example:port/",
        f"https://receiver.example/{'a' * 2048}",
    ],
)
def test_an_address_leaves_nothing_to_interpretation(url: str) -> None:
    with pytest.raises(Refusal, match="write it as"):
        target_of(url, DEVELOPING)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://receiver.example/", "only https"),
        ("https://receiver.example:0/", "no port 0"),
        ("https://receiver.example:70000/", "no port 70000"),
        ("https://a..b/", "no name"),
        ("https://-a.example/", "no name"),
        (f"https://{'a' * 64}.example/", "no name"),
        ("https://8.8.8.8:22/", "port 22 belongs"),
        ("https://[:::]/", "no IPv6 address"),
    ],
)
def test_it_says_why_not(url: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        target_of(url, PUBLIC)


def test_a_target_is_what_goes_on_the_wire() -> None:
    plain = target_of("HTTPS://Receiver.Example?x=1", PUBLIC)
    six = target_of("https://[2606:4700::1]:8443/hook?x=%20", PUBLIC)
    assert (plain.host, plain.port, plain.target) == ("receiver.example", 443, "/?x=1")
    assert (plain.authority, six.authority) == ("receiver.example", "[2606:4700::1]:8443")
    assert six.target == "/hook?x=%20"


def test_a_rule_opens_networks_and_http_and_nothing_else() -> None:
    assert target_of("http://127.0.0.1:22/", DEVELOPING).port == 22
    assert target_of("http://[::ffff:127.0.0.1]/", DEVELOPING).port == 80
    assert target_of("http://[::1]:8000/", DEVELOPING).port == 8000
    with pytest.raises(Refusal):
        target_of("http://169.254.169.254/", DEVELOPING)


def test_a_name_is_judged_when_it_is_called() -> None:
    assert target_of("https://localhost/", PUBLIC).host == "localhost"
    assert literal("localhost") is None


@given(st.integers(0, 2**32 - 1))
def test_every_notation_of_an_address_is_that_address(number: int) -> None:
    octets = number.to_bytes(4, "big")
    notations = [
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(map(str, octets)),
        ".".join(f"0{each:o}" for each in octets),
        ".".join(hex(each) for each in octets),
        f"{octets[0]}.{number & 0xFFFFFF}",
        f"{octets[0]}.{octets[1]}.{number & 0xFFFF}",
    ]
    assert {literal(each) for each in notations} == {IPv4Address(number)}


@given(st.ip_addresses(v=4))
def test_ipv4_inside_ipv6_is_judged_as_ipv4(address: IPv4Address) -> None:
    mapped = IPv6Address((0xFFFF << 32) | int(address))
    nat64 = IPv6Address((0x0064FF9B << 96) | int(address))
    assert {_called(address)} == {_called(mapped), _called(nat64)}


@given(st.ip_addresses())
def test_what_python_knows_to_be_special_is_not_called(
    address: IPv4Address | IPv6Address,
) -> None:
    """Its own table is one more pair of eyes; ours refuses more."""
    # An IPv4 address inside an IPv6 one is judged as what it is, as the test above says.
    disguised = isinstance(address, IPv6Address) and any(address in each for each in _DISGUISES)
    special = address.is_private or address.is_multicast or address.is_reserved
    assert disguised or not (special and _called(address))


_DISGUISES = networks("64:ff9b::/96,::ffff:0:0/96")


def _called(address: IPv4Address | IPv6Address) -> bool:
    try:
        check(address, 443, PUBLIC)
    except Refusal:
        return False
    return True
