"""Hashes of passwords, derived passwords, encryption by password, and random bytes (sprig).

Go tells what is wrong with a password or a user name in the text that it returns, and so does this.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from typing import Final

import bcrypt
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.pki.pem import decode_base64
from keyferry.shape.gotmpl.registry import Registry
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import from_bytes, to_bytes

__all__ = ["REGISTRY"]

REGISTRY = Registry()

_BCRYPT_PRICE: Final = 30_000
_SCRYPT_PRICE: Final = 100_000
"""Steps: about half of what the work takes in microseconds, so that some dozens of passwords are within the limits."""
_BCRYPT_COST: Final = b"$2a$10$"
_BCRYPT_LIMIT: Final = 72
_TO_BCRYPT: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
)

_BLOCK: Final = 16
_MASTER_PASSWORD: Final = b"com.lyndir.masterpassword"
_TEMPLATES: Final = {
    "maximum": "anoxxxxxxxxxxxxxxxxx axxxxxxxxxxxxxxxxxno",
    "long": "CvcvnoCvcvCvcv CvcvCvcvnoCvcv CvcvCvcvCvcvno CvccnoCvcvCvcv CvccCvcvnoCvcv CvccCvcvCvcvno CvcvnoCvccCvcv"
    " CvcvCvccnoCvcv CvcvCvccCvcvno CvcvnoCvcvCvcc CvcvCvcvnoCvcc CvcvCvcvCvccno CvccnoCvccCvcv CvccCvccnoCvcv"
    " CvccCvccCvcvno CvcvnoCvccCvcc CvcvCvccnoCvcc CvcvCvccCvccno CvccnoCvcvCvcc CvccCvcvnoCvcc CvccCvcvCvccno",
    "medium": "CvcnoCvc CvcCvcno",
    "short": "Cvcn",
    "basic": "aaanaaan aannaaan aaannaaa",
    "pin": "nnnn",
}
"""The Master Password algorithm's templates; a letter is a class of characters."""
_CLASSES: Final = {
    "V": "AEIOU",
    "C": "BCDFGHJKLMNPQRSTVWXYZ",
    "v": "aeiou",
    "c": "bcdfghjklmnpqrstvwxyz",
    "a": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz",
    "n": "0123456789",
    "o": "@&%?,=[]_:-+*$#!'^~;()/.",
    "x": "AEIOUaeiouBCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz0123456789!@#$%^&*()",
}


@REGISTRY.add("bcrypt", "func(string) string", run=True)
def bcrypt_hash(run: Run, password: str) -> str:
    """A hash of cost 10. The text of an error for more than 72 bytes."""
    return _bcrypt(run, password, "bcrypt")


@REGISTRY.add("htpasswd", "func(string, string, sprig.HashAlgorithm) string", run=True)
def htpasswd(run: Run, user: str, password: str, algorithm: str) -> str:
    """A line of an htpasswd file: ``sha`` is SHA-1, every other algorithm is bcrypt. No user name has a colon."""
    if ":" in user:
        return f"invalid username: {user}"
    if algorithm == "sha":
        digest = hashlib.sha1(to_bytes(password), usedforsecurity=False).digest()
        return f"{user}:{{SHA}}{base64.b64encode(digest).decode()}"
    return f"{user}:{_bcrypt(run, password, 'htpasswd')}"


@REGISTRY.add("derivePassword", "func(uint32, string, string, string, string) string", run=True)
def derive_password(run: Run, counter: int, kind: str, password: str, user: str, site: str) -> str:
    """The Master Password algorithm (version 3)."""
    if kind not in _TEMPLATES:
        return f"cannot find password template {kind}"
    salt = _MASTER_PASSWORD + _sized(user)
    with run.priced(_SCRYPT_PRICE):
        key = hashlib.scrypt(to_bytes(password), salt=salt, n=32768, r=8, p=2, maxmem=1 << 27, dklen=64)
    seed = hmac.digest(key, _MASTER_PASSWORD + _sized(site) + counter.to_bytes(4), "sha256")
    templates = _TEMPLATES[kind].split()
    template = templates[seed[0] % len(templates)]
    classes = [_CLASSES[letter] for letter in template]
    return "".join(each[seed[at] % len(each)] for at, each in enumerate(classes, 1))


@REGISTRY.add("encryptAES", "func(string, string) (string, error)", run=True)
def encrypt_aes(run: Run, password: str, text: str) -> str:
    """AES-256-CBC in base64, the IV first; nothing of nothing. The first 32 bytes of the password are the key."""
    if not text:
        return ""
    plain = to_bytes(text)
    run.make(2 * len(plain))
    padding = _BLOCK - len(plain) % _BLOCK
    iv = run.entropy(_BLOCK, "encryptAES")
    encryptor = Cipher(AES(_key(password)), modes.CBC(iv)).encryptor()
    encrypted = encryptor.update(plain + bytes((padding,)) * padding) + encryptor.finalize()
    return base64.b64encode(iv + encrypted).decode()


@REGISTRY.add("decryptAES", "func(string, string) (string, error)")
def decrypt_aes(password: str, text: str) -> str:
    """What ``encryptAES`` made. Go looks at the last byte of the padding only, so a wrong password may go unnoticed."""
    if not text:
        return ""
    data = decode_base64(to_bytes(text))
    if data is None:
        raise FunctionError("the data is not base64", detail="illegal base64 data")
    iv, encrypted = data[:_BLOCK], data[_BLOCK:]
    if not encrypted or len(data) % _BLOCK:
        raise FunctionError("the data is damaged: it is no IV and whole blocks", detail=_cut_off(data))
    decryptor = Cipher(AES(_key(password)), modes.CBC(iv)).decryptor()
    plain = decryptor.update(encrypted) + decryptor.finalize()
    end = len(plain) - plain[-1]
    if end < 0:
        raise FunctionError(
            "the password is wrong, or the data is damaged",
            detail=f"runtime error: slice bounds out of range [:{end}]",
        )
    return from_bytes(plain[:end])


@REGISTRY.add("randBytes", "func(int) (string, error)", run=True)
def random_bytes(run: Run, count: int) -> str:
    """Random bytes, in base64."""
    if count < 0:
        raise FunctionError("the count of bytes is negative", detail="runtime error: makeslice: len out of range")
    run.make(2 * count)
    return base64.b64encode(run.entropy(count, "randBytes")).decode()


@REGISTRY.add("uuidv4", "func() string", run=True)
def uuid4(run: Run) -> str:
    return str(uuid.UUID(bytes=run.entropy(16, "uuidv4"), version=4))


def _bcrypt(run: Run, password: str, function: str) -> str:
    data = to_bytes(password)
    if len(data) > _BCRYPT_LIMIT:
        return "failed to encrypt string with bcrypt: bcrypt: password length exceeds 72 bytes"
    salt = base64.b64encode(run.entropy(16, function)).rstrip(b"=").translate(_TO_BCRYPT)
    with run.priced(_BCRYPT_PRICE):
        return bcrypt.hashpw(data, _BCRYPT_COST + salt).decode()


def _sized(text: str) -> bytes:
    data = to_bytes(text)
    return len(data).to_bytes(4) + data


def _key(password: str) -> bytes:
    return to_bytes(password)[:32].ljust(32, b"\0")


def _cut_off(data: bytes) -> str:
    if len(data) < _BLOCK:
        return f"runtime error: slice bounds out of range [:{_BLOCK}] with capacity {len(data)}"
    if len(data) == _BLOCK:
        return "runtime error: index out of range [-1]"
    return "crypto/cipher: input not full blocks"
