"""DER and PEM: strict where Go is strict, and back again from everything that is written."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import certs, der, names, pem, uris

identifiers = st.tuples(st.integers(0, 1), st.integers(0, 39), st.lists(st.integers(0, 1 << 40), max_size=6)).map(
    lambda parts: ".".join(map(str, (parts[0], parts[1], *parts[2])))
)
types = st.from_regex(r"[A-Z0-9 ]{1,20}", fullmatch=True).map(lambda text: text.strip().encode() or b"X")
headers = st.dictionaries(
    st.from_regex(r"[A-Za-z-]{1,8}", fullmatch=True).map(str.encode),
    st.from_regex(r"[A-Za-z0-9,=]{0,12}", fullmatch=True).map(str.encode),
    max_size=3,
)


@given(st.integers())
def test_integers_are_read_as_written(number: int) -> None:
    assert der.Reader(der.integer(number)).integer() == number


@given(identifiers | st.sampled_from(["2.5.29.37.0", "2.16.840.1.113894.746875.1.1", "2.999.1"]))
def test_object_identifiers_are_read_as_written(dotted: str) -> None:
    assert der.Reader(der.oid(dotted)).oid() == dotted


@given(st.integers(0, 70_000))
def test_lengths_are_read_as_written(size: int) -> None:
    reader = der.Reader(der.sequence(der.octets(bytes(size)), der.TRUE))
    inner = reader.enter()
    reader.end()
    assert len(inner.take(der.OCTET_STRING)) == size
    assert inner.boolean()
    assert not inner


@pytest.mark.parametrize(
    "data",
    [
        "",
        "02",
        "0200",
        "020200ff"[:-2] + "7f",
        "0202ff80",
        "02810101",
        "0282000101",
        "0280010000",
        "0285000000000101",
        "020201",
        "1f0101",
        "0401ff",
    ],
)
def test_integers_are_read_as_strictly_as_in_go(data: str) -> None:
    with pytest.raises(der.DerError):
        der.Reader(bytes.fromhex(data)).integer()


@pytest.mark.parametrize("data", ["0600", "060180", "06028001", "06022a80", "0603808001"])
def test_object_identifiers_are_read_as_strictly_as_in_go(data: str) -> None:
    with pytest.raises(der.DerError):
        der.Reader(bytes.fromhex(data)).oid()


@pytest.mark.parametrize("data", ["010101", "0100", "0102ffff", "020101"])
def test_booleans_are_read_as_strictly_as_in_go(data: str) -> None:
    with pytest.raises(der.DerError):
        der.Reader(bytes.fromhex(data)).boolean()


@pytest.mark.parametrize(
    ("year", "written"), [(1949, "180f"), (1950, "170d"), (2049, "170d"), (2050, "180f"), (9999, "180f")]
)
def test_years_that_two_digits_cannot_tell_are_written_with_four(year: int, written: str) -> None:
    assert der.time(dt.datetime(year, 1, 2, 3, 4, 5, tzinfo=dt.UTC)).hex().startswith(written)


def test_text_is_printable_where_it_can_be() -> None:
    assert der.text("a b'()+,-./:=?")[0] == der.PRINTABLE_STRING
    assert der.text("a*")[0] == der.text("ü")[0] == der.UTF8_STRING
    with pytest.raises(der.DerError, match="not UTF-8"):
        der.text("\udcff")


@given(
    st.lists(st.builds(pem.Block, types, st.binary(max_size=200), headers), max_size=3), st.sampled_from(["", "x\n"])
)
def test_blocks_are_read_as_written(written: list[pem.Block], between: str) -> None:
    text = b"".join(between.encode() + pem.encode(block) for block in written)
    assert list(pem.blocks(text)) == written
    assert all(len(line) <= 64 for line in text.splitlines() if b":" not in line)


@given(
    st.lists(
        st.sampled_from([b"-----BEGIN ", b"-----END ", b"A", b"-----", b"\n", b"QUJD", b"a: b", b"=", b" ", b"\r\n"]),
        max_size=30,
    ).map(b"".join)
)
def test_any_text_comes_to_an_end(text: bytes) -> None:
    at = 0
    block, following = pem.decode(text, at)
    while block is not None:
        assert following > at
        at = following
        block, following = pem.decode(text, at)
    assert following == at


@pytest.mark.parametrize(
    ("attributes", "shown"),
    [
        ((("2.5.4.3", "a"),), "CN=a"),
        ((("2.5.4.6", "DE"), ("2.5.4.10", "O, +"), ("2.5.4.3", "#x ")), "CN=\\#x\\ ,O=O\\, \\+,C=DE"),
        ((("2.5.4.11", "a"), ("2.5.4.3", "x"), ("2.5.4.11", "b"), ("2.5.4.3", "y")), "CN=y,OU=a+OU=b"),
        ((("2.5.4.3", " "),), "CN=\\ "),
        ((("2.5.4.3", ""),), ""),
        ((("1.2.3", "a"), ("2.5.4.5", "1"), ("2.5.4.12", "ü")), "SERIALNUMBER=1,2.5.4.12=#0c02c3bc,1.2.3=#130161"),
        ((), ""),
    ],
)
def test_names_are_shown_as_in_go(attributes: names.Names, shown: str) -> None:
    assert names.show(attributes) == shown


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (der.PRINTABLE_STRING, b"a@b"),
        (der.UTF8_STRING, b"\xff"),
        (der.BMP_STRING, b"\x00"),
        (der.BMP_STRING, b"\xd8\x00"),
        (der.BMP_STRING, b"\xd8\x3d\xde\x00"),
        (der.BMP_STRING, b"\xff\xff"),
        (0x16, b"\x80"),
        (0x12, b"a"),
        (0x1C, b"\x00\x00\x00a"),
    ],
)
def test_damaged_strings_in_names_are_refused(tag: int, value: bytes) -> None:
    attribute = der.sequence(der.oid("2.5.4.3"), der.tlv(tag, value))
    with pytest.raises(FunctionError, match="a name in the certificate is damaged"):
        names.parse(der.tlv(der.SET, attribute))


@pytest.mark.parametrize(
    ("tag", "value", "read"),
    [(der.BMP_STRING, b"\x00a\x00\xfc\x00\x00", "aü"), (0x14, b"a\xfc", "aü"), (0x12, b"1 2", "1 2")],
)
def test_old_strings_in_names_are_read(tag: int, value: bytes, read: str) -> None:
    attribute = der.sequence(der.oid("2.5.4.3"), der.tlv(tag, value))
    assert names.parse(der.tlv(der.SET, attribute)) == (("2.5.4.3", read),)


@pytest.mark.parametrize(
    ("given_uri", "shown"),
    [
        ("spiffe://example.org/ns/a", "spiffe://example.org/ns/a"),
        ("HTTPS://Example.org:443/%7e/[x]?q=a b#f'", "https://Example.org:443/%7e/[x]?q=a b#f'"),
        ("urn:uuid:1-2", "urn:uuid:1-2"),
        ("file:///etc/x", "file:///etc/x"),
        ("mailto:a@example.org", "mailto:a@example.org"),
        ("http://example.org/a b", "http://example.org/a%20b"),
        ("a/b", "a/b"),
        ("", ""),
    ],
)
def test_uris_are_shown_as_in_go(given_uri: str, shown: str) -> None:
    assert uris.normal(given_uri) == shown


@pytest.mark.parametrize(
    "text", ["http://a b/", "http://a..b/", "http://a./", "http://.a/", "http://a/%zz", ":x", "\x7f"]
)
def test_uris_that_go_refuses_are_refused(text: str) -> None:
    with pytest.raises(FunctionError) as caught:
        uris.normal(text)
    assert caught.value.message == "a subject alternative name is no valid URI"


@given(st.binary(max_size=80))
def test_any_bytes_are_a_certificate_or_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(FunctionError) as caught:
        certs.parse(data)
    assert not re.search(r"\\x|b'", caught.value.message)


def test_a_chain_that_goes_in_circles_ends_with_an_error() -> None:
    def made(own: bytes, issuer: bytes | None) -> certs.Certificate:
        return certs.Certificate(own, b"", (), b"", own, issuer)

    with pytest.raises(FunctionError, match="in a circle"):
        certs.order([made(b"leaf", b"a"), made(b"a", b"b"), made(b"b", b"a")])
    with pytest.raises(FunctionError, match="there is no leaf"):
        certs.order([made(b"a", b"b"), made(b"b", b"a")])
