"""PKCS#12 files: Go's byte for byte, readable elsewhere, and no way to hurt by a file that is damaged on purpose."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gotmpl import LimitError
from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki import certs, der, keys, pbe, pem, pfx, rc2
from tests.unit.shape.gotmpl.rendering import drawn, new_run, refused, render, rendered, world_of

CANARY = "canary-" + "90f3bd"
GO = yaml.safe_load(Path(__file__).with_name("made_by_go.yaml").read_text(encoding="utf-8"))
PBE = pkcs12.PBES


def certificate_of(key: Any, name: str = "x") -> x509.Certificate:
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(dt.datetime(2024, 1, 1)).not_valid_after(dt.datetime(2034, 1, 1))  # noqa: DTZ001 - X.509 knows UTC only
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def pem_of(key: Any) -> str:
    written: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return written.decode()


KEYS: dict[str, Any] = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "P-256": ec.generate_private_key(ec.SECP256R1()),
    "P-521": ec.generate_private_key(ec.SECP521R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
CERTIFICATES = {name: certificate_of(key) for name, key in KEYS.items()}
CA = certificate_of(KEYS["P-256"], "ca")
CERTIFICATE, CA_FILE = (each.public_bytes(Encoding.PEM).decode() for each in (CERTIFICATES["P-256"], CA))


def written_by_another(name: str, password: str, kind: PBE, mac: hashes.HashAlgorithm, rounds: int = 2048) -> bytes:
    encryption: KeySerializationEncryption = NoEncryption()
    if password:
        builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(rounds)
        encryption = builder.key_cert_algorithm(kind).hmac_hash(mac).build(password.encode())
    return pkcs12.serialize_key_and_certificates(b"name", KEYS[name], CERTIFICATES[name], [CA], encryption)


@pytest.mark.parametrize("case", GO["files"], ids=lambda case: case["template"])
def test_files_are_gos_byte_for_byte(case: dict[str, Any]) -> None:
    world = world_of(*map(bytes.fromhex, case["random"]))
    data = {"k": GO["key"], "odd": GO["odd"], "ca": GO["certificates"][0]["ca"], "pw": case["password"]}
    assert render("{{ %s }}" % case["template"], world=world, **data) == case["file"]  # noqa: UP031  # braces


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize("password", ["changeit", "pässwörd €"])
def test_another_library_reads_our_files(name: str, password: str) -> None:
    cert = CERTIFICATES[name].public_bytes(Encoding.PEM).decode()
    template = "{{ fullPemToPkcs12Pass .c .k .p }}"
    made = rendered(template, c=cert + CA_FILE, k=pem_of(KEYS[name]), p=password)
    read = pkcs12.load_pkcs12(base64.b64decode(made.text), password.encode())
    assert read.cert is not None
    assert read.key is not None
    assert read.key.public_key() == KEYS[name].public_key()
    assert read.cert.certificate == CERTIFICATES[name]
    assert [each.certificate for each in read.additional_certs] == [CA]
    assert made.unrepeatable == {"fullPemToPkcs12Pass"}


def test_another_library_reads_our_trust_stores() -> None:
    made = base64.b64decode(render('{{ pemTruststoreToPKCS12Pass .c "changeit" }}', c=CERTIFICATE + CA_FILE))
    read = pkcs12.load_pkcs12(made, b"changeit")
    assert read.key is None
    assert [(each.certificate, each.friendly_name) for each in read.additional_certs] == [
        (CERTIFICATES["P-256"], b"CN=x"),
        (CA, b"CN=ca"),
    ]


@pytest.mark.parametrize("name", KEYS)
@pytest.mark.parametrize(
    ("kind", "mac"),
    [
        (PBE.PBESv2SHA256AndAES256CBC, hashes.SHA256()),
        (PBE.PBESv1SHA1And3KeyTripleDESCBC, hashes.SHA1()),
        (PBE.PBESv2SHA256AndAES256CBC, hashes.SHA512()),
    ],
)
@pytest.mark.parametrize("password", ["", "pässwörd €"])
def test_we_read_the_files_of_another_library(name: str, kind: PBE, mac: hashes.HashAlgorithm, password: str) -> None:
    file = written_by_another(name, password, kind, mac)
    assert render("{{ pkcs12keyPass .p .f }}", f=file, p=password) == pem_of(KEYS[name])
    found = render("{{ pkcs12certPass .p .f }}", f=file, p=password)
    assert sorted(pem.blocks(found.encode()), key=lambda block: block.body) == sorted(
        pem.blocks(CERTIFICATES[name].public_bytes(Encoding.PEM) + CA_FILE.encode()), key=lambda block: block.body
    )


def test_every_password_is_refused_but_the_right_one_and_none_is_shown() -> None:
    file = written_by_another("P-256", CANARY, PBE.PBESv2SHA256AndAES256CBC, hashes.SHA256())
    for wrong in ("", "x", CANARY + " ", CANARY.upper(), "secret-" * 9):
        for function in ("pkcs12keyPass", "pkcs12certPass"):
            told = refused(f"{{{{ {function} .p .f }}}}", p=wrong, f=file)
            assert "the password of the PKCS#12 file is wrong" in told
            assert not wrong or wrong not in told or wrong == "x"
    assert render("{{ pkcs12keyPass .p .f }}", p=CANARY, f=file) == pem_of(KEYS["P-256"])


@pytest.mark.parametrize(
    "template",
    [
        "{{ pkcs12key .c }}",
        "{{ pkcs12certPass .c .c }}",
        "{{ pemToPkcs12Pass .c .c .c }}",
        "{{ fullPemToPkcs12Pass .cert .c .c }}",
        "{{ fullPemToPkcs12 (print .cert .c) .k }}",
        "{{ pemToPkcs12Pass .cert .k (print .c `\U0001f600`) }}",
        "{{ pemTruststoreToPKCS12Pass .c .c }}",
    ],
)
def test_errors_show_neither_password_nor_data(template: str) -> None:
    assert CANARY not in refused(template, c=CANARY, cert=CERTIFICATE, k=pem_of(KEYS["P-256"]))


def test_the_work_that_a_file_asks_for_is_paid_for_before_it_is_done() -> None:
    file = written_by_another("P-256", "x", PBE.PBESv2SHA256AndAES256CBC, hashes.SHA256(), rounds=2048)
    greedy = file.replace(der.integer(2048), der.integer(0x7FFF))
    assert "the password" in refused('{{ pkcs12keyPass "x" .f }}', f=greedy)
    kind = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"))
    reader = der.Reader(kind).enter()
    with pytest.raises(LimitError):
        pbe.mac(reader, b"salt", 1 << 60, b"", pbe.Password.of("x"), new_run().spend)


def test_a_key_of_a_mac_is_of_a_sensible_length() -> None:
    derive = der.sequence(der.octets(b"salt"), der.integer(1), der.integer(1 << 40))
    method = der.sequence(der.oid("1.2.840.113549.1.5.12"), derive)
    hashing = der.sequence(der.oid("1.2.840.113549.2.9"))
    kind = der.oid("1.2.840.113549.1.5.14") + der.sequence(method, hashing)
    with pytest.raises(FunctionError, match="does not say how long"):
        pbe.mac(der.Reader(kind), b"", 1, b"", pbe.Password.of(""), new_run().spend)


def test_a_password_with_a_byte_that_is_no_utf8_is_gos() -> None:
    made = render("{{ pemToPkcs12Pass .c .k .p }}", c=CERTIFICATE, k=pem_of(KEYS["P-256"]), p=b"\xff")
    assert pkcs12.load_pkcs12(base64.b64decode(made), "\ufffd".encode()).key is not None


@pytest.mark.parametrize(
    ("key", "plain", "encrypted"),
    [
        ("ffffffffffffffff", "ffffffffffffffff", "278b27e42e2f0d49"),
        ("3000000000000000", "1000000000000001", "30649edf9be7d2c2"),
        ("88bca90e90875a7f0f79c384627bafb2", "0000000000000000", "2269552ab0f85ca6"),
    ],
)
def test_rc2_decrypts_the_examples_of_rfc_2268(key: str, plain: str, encrypted: str) -> None:
    assert rc2.decrypt(bytes.fromhex(key), bytes(8), bytes.fromhex(encrypted)).hex() == plain
    twice = rc2.decrypt(bytes.fromhex(key), bytes.fromhex(encrypted), bytes.fromhex(encrypted) * 2)
    mixed = bytes(a ^ b for a, b in zip(bytes.fromhex(plain), bytes.fromhex(encrypted), strict=True))
    assert twice == mixed * 2


SMALL = pfx.write(
    keys.Ed25519Key(bytes(32)),
    [certs.parse(CERTIFICATES["Ed25519"].public_bytes(Encoding.DER))],
    "x",
    drawn(bytes(16) for _ in range(5)),
)


@given(
    st.binary(max_size=60)
    | st.tuples(st.integers(0, len(SMALL) - 1), st.binary(max_size=4)).map(
        lambda cut: SMALL[: cut[0]] + cut[1] + SMALL[cut[0] + len(cut[1]) :]
    )
)
def test_whatever_the_bytes_are_there_is_a_result_or_an_error_of_ours(data: bytes) -> None:
    with contextlib.suppress(FunctionError):
        content = pfx.read(data, "x", new_run().spend)
        assert content.key.pkcs8() == keys.Ed25519Key(bytes(32)).pkcs8()


def test_a_file_shows_nothing_of_itself() -> None:
    content = pfx.read(SMALL, "x", new_run().spend)
    shown = re.compile(r"<[\w.]+ object at 0x[0-9a-f]+>|Ed25519Key")
    for part in (content, content.key, content.certificates[0], pbe.Password.of(CANARY)):
        assert shown.fullmatch(repr(part))
