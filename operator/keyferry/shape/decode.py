"""``decodingStrategy`` and ``nullBytePolicy``: what happens to a value between the store and the Secret."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping

from keyferry.api.externalsecret import DecodingStrategy, NullBytePolicy
from keyferry.errors import BadValue

__all__ = ["check_null_bytes", "decode"]

_PADDED = re.compile(rb"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_URL_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/??")
"""The URL alphabet as the standard one; what only the standard alphabet has becomes a character of neither."""


def decode(value: bytes, strategy: DecodingStrategy | None) -> bytes:
    """``value`` as ``strategy`` reads it: ``None`` leaves it alone, ``Auto`` leaves alone what is not base64.

    Base64 is what Go's ``base64.StdEncoding`` and ``base64.URLEncoding`` accept (eso-facts 1.7): padding is needed,
    line breaks are ignored wherever they stand, unused bits of the last character are not looked at. ``Auto`` tries the
    standard alphabet, then the URL one.

    Raises ``BadValue``, which never tells what the value is.
    """
    match strategy:
        case None | "None":
            return value
        case "Base64":
            decoded = _standard(value)
        case "Base64URL":
            decoded = _url(value)
        case "Auto":
            for attempt in (_standard(value), _url(value)):
                if attempt is not None:
                    return attempt
            return value
    if decoded is None:
        raise BadValue(f"the value is not padded base64 as decodingStrategy {strategy} needs it", remedy=_remedy(value))
    return decoded


def check_null_bytes(data: Mapping[str, bytes], policy: NullBytePolicy | None) -> None:
    """``nullBytePolicy: Fail``: raises ``BadValue`` naming the alphabetically first key whose value has a null byte."""
    if policy != "Fail":
        return
    for key in sorted(data):
        if b"\0" in data[key]:
            raise BadValue(
                f'the value of "{key}" holds a null byte',
                remedy="nullBytePolicy is Fail; use Ignore if the value is meant to be binary",
            )


def _standard(value: bytes) -> bytes | None:
    text = value.translate(None, b"\r\n")
    return binascii.a2b_base64(text) if _PADDED.fullmatch(text) else None


def _url(value: bytes) -> bytes | None:
    return _standard(value.translate(_URL_TO_STANDARD))


def _remedy(value: bytes) -> str:
    if _url(value) is not None:
        return "it is Base64URL"
    if _standard(value) is not None:
        return "it is Base64"
    bare = value.translate(None, b"\r\n")
    if _standard(bare + b"=" * (-len(bare) % 4)) is not None or _url(bare + b"=" * (-len(bare) % 4)) is not None:
        return "its padding is missing; store it with padding"
    return "store it encoded, or use decodingStrategy None or Auto"
