from __future__ import annotations

import pytest

from keyferry.addresses import Addresses, literal, networks
from keyferry.errors import Denied


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "169.254.170.2", "224.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%eth0", "ff02::1", "fd00:ec2::254"),
        *("100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::a9fe:a9fe"),
    ],
)
def test_the_machine_and_the_metadata_services_are_refused(address: str) -> None:
    with pytest.raises(Denied, match=r'a SecretStore may not reach "hooks\.example\.org"'):
        Addresses().check("hooks.example.org", address)


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "192.168.0.1", "203.0.113.7", "2001:db8::1", "fd12::1", "64:ff9b::a00:1"]
)
def test_everything_else_may_be_reached(address: str) -> None:
    Addresses().check("hooks.example.org", address)


def test_an_administrator_widens_and_narrows_the_rule() -> None:
    addresses = Addresses(allowed=networks(["127.0.0.1", "10.96.7.0/24"]), refused=networks(["10.0.0.0/8", "fd00::/8"]))
    addresses.check("here", "127.0.0.1")
    addresses.check("service", "10.96.7.9")
    for address in ("127.0.0.2", "10.96.8.1", "fd00::1"):
        with pytest.raises(Denied):
            addresses.check("elsewhere", address)


def test_a_store_of_an_administrator_reaches_everything() -> None:
    Addresses(everything=True).check("localhost", "127.0.0.1")


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(Denied, match="no address that can be judged"):
        Addresses().check("x", "not an address")


@pytest.mark.parametrize(
    "host", ["127.1", "2130706433", "0x7f000001", "0x7f.1", "017700000001", "127.0.0.1.", "[::1]", "::1"]
)
def test_an_address_is_refused_however_it_is_spelt(host: str) -> None:
    with pytest.raises(Denied):
        Addresses().check_literal(host)


@pytest.mark.parametrize(
    "host", ["hooks.example.org", "10.0.0.1", "[2001:db8::1]", "1.example.org", "0x7f.example", "beef"]
)
def test_names_and_other_addresses_pass_until_they_are_resolved(host: str) -> None:
    Addresses().check_literal(host)


def test_a_host_that_is_an_address_can_be_refused_by_itself() -> None:
    addresses = Addresses(refused=(*literal("10.96.0.1"), *literal("kubernetes.default.svc"), *literal("")))
    addresses.check("other", "10.96.0.2")
    with pytest.raises(Denied):
        addresses.check("kubernetes", "10.96.0.1")
