"""Hashes, derived passwords, encryption by password and random bytes: what other libraries say of ours."""

from __future__ import annotations

import base64
import uuid

import bcrypt
import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from keyferry.shape.gotmpl import LimitError
from keyferry.shape.gotmpl.functions.passwords import decrypt_aes, encrypt_aes
from keyferry.shape.gotmpl.values import canonical
from tests.unit.shape.gotmpl.rendering import new_run, refused, render, rendered, world_of

CANARY = "canary-" + "5be90a"
SALT = bytes(range(16))
KEY = rsa.generate_private_key(65537, 2048)
KEY_FILE = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()

texts = st.text(max_size=40).map(canonical)


@pytest.mark.parametrize("password", ["", "x", "pässwörd", "x" * 72, "a\0b"])
def test_bcrypt_makes_what_another_library_verifies(password: str) -> None:
    made = render("{{ bcrypt .p }}", p=password)
    assert made.startswith("$2a$10$")
    assert bcrypt.checkpw(password.encode(), made.encode())
    line = render('{{ htpasswd "user" .p "bcrypt" }}', p=password)
    user, _, hashed = line.partition(":")
    assert user == "user"
    assert bcrypt.checkpw(password.encode(), hashed.encode())


def test_the_salt_of_bcrypt_is_the_worlds() -> None:
    made = render('{{ bcrypt "x" }}', world=world_of(SALT))
    assert made == render('{{ bcrypt "x" }}', world=world_of(SALT))
    assert made[7:29] == "..CA.uOD/eaGAOmJB.yMBu"


def test_functions_that_draw_say_so() -> None:
    template = '{{ bcrypt "x" }}{{ htpasswd "u" "p" "bcrypt" }}{{ randBytes 3 }}{{ uuidv4 }}{{ encryptAES "p" "x" }}'
    assert rendered(template).unrepeatable == {"bcrypt", "htpasswd", "randBytes", "uuidv4", "encryptAES"}
    same = '{{ htpasswd "u" "p" "sha" }}{{ derivePassword 1 "pin" "p" "u" "s" }}{{ encryptAES "p" "" }}'
    assert rendered(same).unrepeatable == set()


def test_random_bytes_are_the_worlds() -> None:
    assert render("{{ randBytes 3 }} {{ uuidv4 }}", world=world_of(b"abc", bytes(16))) == (
        "YWJj 00000000-0000-4000-8000-000000000000"
    )
    assert uuid.UUID(render("{{ uuidv4 }}")).version == 4


def test_too_many_random_bytes_are_refused_before_they_are_drawn() -> None:
    with pytest.raises(LimitError):
        rendered("{{ randBytes 99999999999 }}", world=world_of())


@given(texts, texts)
def test_what_encrypt_aes_makes_decrypt_aes_reads(password: str, text: str) -> None:
    assert decrypt_aes(password, encrypt_aes(new_run(), password, text)) == text


def test_another_library_reads_what_encrypt_aes_makes() -> None:
    data = base64.b64decode(render("{{ encryptAES .p .t }}", p="pass", t="text", world=world_of(SALT)))
    assert data[:16] == SALT
    decryptor = Cipher(AES(b"pass".ljust(32, b"\0")), modes.CBC(SALT)).decryptor()
    assert decryptor.update(data[16:]) + decryptor.finalize() == b"text" + bytes([12]) * 12


@pytest.mark.parametrize(("name", "algorithm"), [("SHA1", SHA1()), ("SHA256", SHA256()), ("SHA512", SHA512())])
def test_rsa_decrypt_reads_what_another_library_encrypts(name: str, algorithm: HashAlgorithm) -> None:
    secret = b"\xff secret"
    encrypted = KEY.public_key().encrypt(secret, padding.OAEP(padding.MGF1(algorithm), algorithm, None))
    template = '{{ rsaDecrypt "RSA-OAEP" .h .c .k }}'
    assert rendered(template, h=name, c=encrypted, k=KEY_FILE).text == secret
    assert "cannot be decrypted" in refused(template, h=name, c=CANARY, k=KEY_FILE)


@pytest.mark.parametrize(
    "template",
    [
        '{{ decryptAES "x" .k }}',
        '{{ decryptAES .k "QUJDREVGR0hJSktMTU5PUEFCQ0Q=" }}',
        '{{ rsaDecrypt .k "" .k .k }}',
        '{{ rsaDecrypt "RSA-OAEP" "" .k .k }}',
        '{{ rsaDecrypt "RSA-OAEP" "" .k .rsa }}',
        '{{ htpasswd "u" "p" .k }}',
        "{{ jwkPrivateKeyPem .k }}",
        '{{ jwkPrivateKeyPem (dict "kty" "OKP" "crv" .k "x" "AA" "d" "AA" | toJson) }}',
        '{{ jwkPrivateKeyPem (dict "kty" "OKP" "crv" "Ed25519" "x" "AA" "d" .k | toJson) }}',
        '{{ jwkPrivateKeyPem (dict "kty" .k "d" .k | toJson) }}',
        "{{ filterPEM .k .k }}",
        "{{ filterCertChain .k .k }}",
        "{{ certSANs .k }}",
    ],
)
def test_errors_show_no_value(template: str) -> None:
    assert CANARY not in refused(template, k=CANARY, rsa=KEY_FILE)
