"""Keys and certificates: what Go makes of the same chance and time, and what another library reads in ours."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import ipaddress
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from keyferry.shape.gotmpl import LimitError, Limits, World
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import der, issue, keyfiles, keys, pem
from tests.unit.shape.gotmpl.rendering import WORLD, new_run, refused, render, rendered, world_of

CANARY = "canary-" + "d16f02"
GO = yaml.safe_load(Path(__file__).with_name("made_by_go.yaml").read_text(encoding="utf-8"))
SERIAL = bytes(range(200, 216))

PKCS8, TRADITIONAL = PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
MADE = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "RSA with exponent 3": rsa.generate_private_key(3, 1024),
    "P-224": ec.generate_private_key(ec.SECP224R1()),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-384": ec.generate_private_key(ec.SECP384R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
OTHERS = {
    "X25519": x25519.X25519PrivateKey.generate(),
    "Ed448": ed448.Ed448PrivateKey.generate(),
    "secp256k1": ec.generate_private_key(ec.SECP256K1()),
    "DSA": dsa.generate_private_key(1024),
}


def written(key: Any, form: PrivateFormat = PKCS8, password: str = "") -> str:
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    text: bytes = key.private_bytes(Encoding.PEM, form, encryption)
    return text.decode()


def certificate(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


FILES = {f"{name} in PKCS#8": written(key) for name, key in MADE.items()} | {
    f"{name} in its own format": written(key, TRADITIONAL) for name, key in MADE.items() if name != "Ed25519"
}
UNUSABLE = {
    "encrypted PKCS#8": written(MADE["RSA"], PKCS8, CANARY),
    "encrypted SEC 1": written(MADE["P-256"], TRADITIONAL, CANARY),
    "PKCS#8 that says SEC 1": FILES["RSA in PKCS#8"].replace("PRIVATE", "EC PRIVATE"),
    "PKCS#1 that says PKCS#8": FILES["RSA in its own format"].replace("RSA PRIVATE", "PRIVATE"),
    "damaged": FILES["P-256 in PKCS#8"].replace("\nM", "\nL"),
    "no DER": pem.encode(pem.Block(b"PRIVATE KEY", CANARY.encode())).decode(),
    "half DER": pem.encode(pem.Block(b"RSA PRIVATE KEY", der.sequence(der.integer(0)) + CANARY.encode())).decode(),
    "another block": pem.encode(pem.Block(CANARY.encode(), b"x")).decode(),
    "no PEM": CANARY,
}


@pytest.mark.parametrize("case", GO["certificates"], ids=lambda case: case["template"])
def test_certificates_are_gos_byte_for_byte(case: dict[str, str]) -> None:
    template = "{{ $ca := buildCustomCert (.ca | b64enc) (jwkPrivateKeyPem .k | b64enc) }}{{ (%s).Cert }}"
    own = case["template"] == "$ca"
    call = 'genCAWithKey "root" 3650 (jwkPrivateKeyPem .k)' if own else case["template"]
    world = world_of(bytes.fromhex(case["serial"]), now=dt.datetime.fromisoformat(case["now"]))
    assert render(template % call, world=world, k=GO["key"], ca=case["ca"]) == case["certificate"]


@pytest.mark.parametrize("name", FILES)
def test_keys_are_written_as_openssl_writes_them(name: str) -> None:
    key = keyfiles.from_pem(FILES[name].encode())
    made = load_pem_private_key(FILES[name].encode(), None)
    own = PKCS8 if name.startswith("Ed25519") else TRADITIONAL
    assert pem.encode(key.block()).decode() == written(made, own)
    assert pem.encode(pem.Block(b"PRIVATE KEY", key.pkcs8())).decode() == written(made, PKCS8)


@pytest.mark.parametrize("name", FILES)
def test_a_ca_of_any_key_signs_what_another_library_verifies(name: str) -> None:
    template = """
    {{- $ca := genCAWithKey "my ca" 100 .k -}}
    {{- $leaf := genSignedCertWithKey "leaf" (list "192.0.2.7" "2001:db8::7") (list "*.example.org") 10 $ca .leaf -}}
    {{ $ca.Cert }}|{{ $leaf.Cert }}|{{ $leaf.Key }}"""
    leaf_key = FILES["P-256 in PKCS#8"]
    ca, leaf, key = map(str, render(template, k=FILES[name], leaf=leaf_key).split("|"))
    issued = certificate(leaf)
    issued.verify_directly_issued_by(certificate(ca))
    certificate(ca).verify_directly_issued_by(certificate(ca))
    assert load_pem_private_key(key.encode(), None).public_key() == issued.public_key()


def test_the_fields_of_a_ca_are_sprigs() -> None:
    made = certificate(
        render('{{ (genCAWithKey "my ca" 30 .k).Cert }}', world=world_of(SERIAL), k=FILES["RSA in PKCS#8"])
    )
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "my ca")])
    assert (made.subject, made.issuer) == (names, names)
    assert made.serial_number == int.from_bytes(SERIAL)
    assert made.not_valid_before_utc == dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    assert made.not_valid_after_utc == dt.datetime(2030, 2, 1, 3, 4, 5, tzinfo=dt.UTC)
    found = {each.oid.dotted_string: each for each in made.extensions}
    assert list(found) == ["2.5.29.15", "2.5.29.37", "2.5.29.19", "2.5.29.14"]
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert usage.value.key_encipherment
    assert usage.value.key_cert_sign
    assert not usage.value.crl_sign
    extended = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(extended) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    constraints = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=None)
    assert len(made.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest) == 20


def test_the_fields_of_a_signed_certificate_are_sprigs() -> None:
    template = """
    {{- $ca := genCAWithKey "ca" 100 .k -}}
    {{ $ca.Cert }}|{{ (genSignedCertWithKey "" (list "::ffff:192.0.2.7") (list "a" "b") 10 $ca .k).Cert }}"""
    ca, leaf = (certificate(each) for each in render(template, k=FILES["Ed25519 in PKCS#8"]).split("|"))
    own = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    named = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert named.key_identifier == own.digest
    alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert alternatives.critical, "there is no subject"
    assert list(alternatives.value) == [
        x509.DNSName("a"),
        x509.DNSName("b"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
    ]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_functions_that_make_their_own_keys_make_rsa_of_2048_bits() -> None:
    template = """
    {{- $ca := genCA "ca" 100 -}}{{- $self := genSelfSignedCert "self" nil (list "x") 10 -}}
    {{- $leaf := genSignedCert "leaf" nil nil 10 $ca -}}
    {{ $ca.Cert }}|{{ $ca.Key }}|{{ $self.Cert }}|{{ $self.Key }}|{{ $leaf.Cert }}|{{ $leaf.Key }}"""
    made = rendered(template)
    ca, ca_key, own, own_key, leaf, leaf_key = made.text.decode().split("|")
    for cert, key in ((ca, ca_key), (own, own_key), (leaf, leaf_key)):
        private = load_pem_private_key(key.encode(), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        assert private.key_size == 2048
        assert private.public_key() == certificate(cert).public_key()
    certificate(leaf).verify_directly_issued_by(certificate(ca))
    certificate(own).verify_directly_issued_by(certificate(own))
    assert made.unrepeatable == {"genCA", "genSelfSignedCert", "genSignedCert"}


@pytest.mark.parametrize(("kind", "made"), [("", 4096), ("ecdsa", 256), ("ed25519", 0), ("dsa", 2048)])
def test_new_keys_are_read_by_another_library(kind: str, made: int) -> None:
    drawn = rendered("{{ genPrivateKey .k }}", k=kind)
    key = load_pem_private_key(drawn.text, None)
    assert getattr(key, "key_size", 0) == made
    assert drawn.unrepeatable == {"genPrivateKey"}


@pytest.mark.parametrize("name", OTHERS)
def test_keys_that_go_does_not_know_make_no_certificate(name: str) -> None:
    told = refused('{{ genCAWithKey "x" 1 .k }}', k=written(OTHERS[name]))
    assert any(word in told for word in ("cannot sign", "unknown type", "is not supported"))


def test_an_x25519_key_is_read_and_written() -> None:
    text = written(OTHERS["X25519"])
    assert pem.encode(keyfiles.from_pem(text.encode()).block()).decode() == text


def test_a_dsa_key_is_read_and_good_for_nothing() -> None:
    text = written(OTHERS["DSA"], TRADITIONAL)
    cert = base64.b64encode(GO["odd"].encode()).decode()
    assert render("{{ (buildCustomCert .c (.k | b64enc)).Key }}", c=cert, k=text) == text
    assert "cannot sign certificates" in refused('{{ genCAWithKey "x" 1 .k }}', k=text)
    ca = FILES["RSA in PKCS#8"]
    template = '{{ genSignedCertWithKey "x" nil nil 1 (genCAWithKey "x" 1 .ca) .k }}'
    assert "certificates of DSA keys" in refused(template, k=text, ca=ca)


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_key_that_cannot_be_used_is_refused_without_a_word_of_it(name: str) -> None:
    text = UNUSABLE[name]
    pieces = [line for line in text.splitlines() if len(line) > 20 and "PRIVATE KEY" not in line]
    for template in (
        '{{ genCAWithKey "x" 1 .k }}',
        '{{ genSelfSignedCertWithKey "x" nil nil 1 .k }}',
        '{{ genSignedCertWithKey "x" nil nil 1 (genCAWithKey "y" 1 .ca) .k }}',
        "{{ buildCustomCert (.c | b64enc) (.k | b64enc) }}",
    ):
        told = refused(template, k=text, ca=FILES["P-256 in PKCS#8"], c=GO["odd"])
        assert CANARY not in told
        assert not any(piece in told for piece in pieces)


def test_keys_show_nothing_of_themselves() -> None:
    for text in FILES.values():
        key = keyfiles.from_pem(text.encode())
        assert repr(key) == type(key).__name__
    assert repr(pem.decode(FILES["RSA in PKCS#8"].encode())[0]).count("MII") == 0


@pytest.mark.parametrize("changed", ["n", "e", "d", "p", "dp", "dq", "qinv"])
def test_an_rsa_key_whose_numbers_do_not_fit_is_refused(changed: str) -> None:
    key = keyfiles.from_pem(FILES["RSA in PKCS#8"].encode())
    assert isinstance(key, keys.RsaKey)
    numbers = {name: getattr(key, name) for name in ("n", "e", "d", "p", "q", "dp", "dq", "qinv")}
    numbers[changed] += 2
    crt = [numbers.pop(name) for name in ("dp", "dq", "qinv")]
    with pytest.raises(FunctionError, match=r"\Athe numbers of the RSA key do not belong together\Z"):
        keys.RsaKey.of(**numbers, crt=crt)


def test_an_rsa_key_of_more_than_two_primes_is_refused() -> None:
    key = keyfiles.from_pem(FILES["RSA in PKCS#8"].encode())
    assert isinstance(key, keys.RsaKey)
    body = key.pkcs1()
    extended = der.sequence(der.Reader(body).take(der.SEQUENCE), der.sequence(der.sequence(*[der.integer(3)] * 3)))
    with pytest.raises(FunctionError, match="more than two primes"):
        keyfiles.parse_pkcs1(extended)


def test_a_huge_rsa_key_is_refused_before_it_is_computed_with() -> None:
    huge = (1 << 3_000_000) + 1
    with pytest.raises(FunctionError, match="more than 16384 bits"):
        keys.RsaKey.of(huge, 3, 5, huge - 2, huge - 4)


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (0, "2030-01-02T03:04:05"),
        (-1, "2030-01-01T03:04:05"),
        (7305, "2050-01-02T03:04:05"),
        (106751, "2322-04-13T03:04:05"),
        (106752, "1737-09-23T03:29:31"),
        (9223372036854775807, "2030-01-01T03:04:05"),
    ],
)
def test_days_are_counted_in_64_bits_of_nanoseconds(days: int, expected: str) -> None:
    now = dt.datetime(2030, 1, 2, 3, 4, 5, 678_000, tzinfo=dt.UTC)
    assert issue.expiry(now, days) == dt.datetime.fromisoformat(expected).replace(tzinfo=dt.UTC)
    text = render('{{ (genCAWithKey "x" (.d | int) .k).Cert }}', world=world_of(SERIAL), d=str(days), k=_ed())
    assert certificate(text).not_valid_after_utc == issue.expiry(now, days)


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("192.0.2.1", "c0000201"),
        ("::ffff:192.0.2.1", "c0000201"),
        ("2001:DB8::1", "20010db8000000000000000000000001"),
        ("1:2:3:4:5:6:7::", "00010002000300040005000600070000"),
        ("::", "00" * 16),
        ("01.2.3.4", None),
        ("1.2.3", None),
        ("fe80::1%eth0", None),
        ("1::2::3", None),
        ("12345::", None),
        (" 1.2.3.4", None),
        ("192.0.2.1/24", None),
        ("", None),
    ],
)
def test_addresses_are_those_of_gos_net_package(text: str, packed: str | None) -> None:
    assert issue.parse_address(text) == (None if packed is None else bytes.fromhex(packed))


def test_a_template_of_a_ca_some_certificates_and_a_password_is_within_the_limits() -> None:
    template = """
    {{- $ca := genCA "ca" 365 }}
    {{- range $i := until 6 }}{{ $c := genSignedCert (print "c" $i) nil (list "a") 365 $ca }}{{ $c.Cert }}{{ end }}
    {{- htpasswd "user" "password" "bcrypt" }}{{ genPrivateKey "ecdsa" }}"""
    assert render(template).count("BEGIN CERTIFICATE") == 6


@pytest.mark.parametrize(
    ("work", "owner", "name"),
    [
        ('{{ genPrivateKey "rsa" }}', keys.RsaKey, "generate"),
        ('{{ genPrivateKey "dsa" }}', keys, "new_dsa"),
        ('{{ genPrivateKey "ecdsa" }}', keys.EcKey, "generate"),
        ('{{ genPrivateKey "ed25519" }}', keys.Ed25519Key, "generate"),
        ('{{ genCA "x" 1 }}', keys.RsaKey, "generate"),
        ('{{ genCAWithKey "x" 1 .k }}', issue, "issue"),
        ('{{ bcrypt "x" }}', bcrypt, "hashpw"),
        ('{{ htpasswd "x" "y" "bcrypt" }}', bcrypt, "hashpw"),
        ('{{ derivePassword 1 "pin" "a" "b" "c" }}', hashlib, "scrypt"),
    ],
)
def test_hard_work_is_paid_for_before_it_is_done(
    work: str, owner: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, name, lambda *_args, **_named: pytest.fail("the work was done"))
    with pytest.raises(LimitError, match="more than 400 steps"):
        rendered(work, limits=Limits(steps=400), k=_ed())


def test_the_time_that_a_key_takes_is_left_out_of_the_bound_of_seconds() -> None:
    seconds = iter(range(0, 10_000, 3))
    slow = World(now=WORLD.now, monotonic=lambda: float(next(seconds)), entropy=WORLD.entropy)
    run = type(new_run())(slow, new_run().limits)
    with pytest.raises(LimitError, match="longer than 2 s"):
        run.spend(1000)
    still = [0.0]
    run = type(run)(World(now=WORLD.now, monotonic=lambda: still[0], entropy=WORLD.entropy), run.limits)
    with run.priced(1000):
        still[0] += 60
    run.spend(1000)
    still[0] += 3
    with pytest.raises(LimitError, match="longer than 2 s"):
        run.spend(1000)


def _ed() -> str:
    return FILES["Ed25519 in PKCS#8"]
