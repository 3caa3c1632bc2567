"""URIs in certificates, as Go shows them."""

from __future__ import annotations

import re
from typing import Final

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.gourl import URLError, parse_url

__all__ = ["normal"]

_SEGMENT: Final = r"A-Za-z0-9._~!$&'()*+,;=@%\[\]-"
_PATH: Final = rf"/[:/{_SEGMENT}]*"
_USUAL: Final = re.compile(
    r"(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):)?"
    rf"(?P<rest>(?://[A-Za-z0-9._~:\[\]-]+(?:{_PATH})?|(?<=:)//{_PATH}|(?!//){_PATH}|[{_SEGMENT}]+(?:{_PATH})?)?"
    rf"(?:\?[^#]*)?(?:#[:/?{_SEGMENT}]+)?)"
)
"""What Go writes as it reads it, but for the case of the scheme."""
_DOMAIN: Final = re.compile(r"(?:[!-\-/-~]+(?:\.[!-\-/-~]+)*)?")


def normal(text: str) -> str:
    """A URI in ASCII by way of Go's ``net/url``, which escapes what has to be. Raises ``FunctionError``."""
    try:
        url = parse_url(text)
    except URLError as error:
        raise _wrong(text, error.detail) from None
    if not _DOMAIN.fullmatch(url.host):
        raise _wrong(text, "invalid domain")
    usual = _USUAL.fullmatch(text)
    if usual is None:
        return str(url)
    return f"{usual['scheme'].lower()}:{usual['rest']}" if usual["scheme"] else usual["rest"]


def _wrong(text: str, reason: str) -> FunctionError:
    return FunctionError(
        "a subject alternative name is no valid URI", detail=f'x509: cannot parse URI "{text}": {reason}'
    )
