"""Logging in by NTLM, version 2: negotiate, challenge and authenticate, over one connection (MS-NLMP, MS-NTHT).

The messages are made by pyspnego. As by ESO, a request is tried without login first, since a connection may be logged
in already; under the scheme ``Negotiate`` plain NTLM messages are sent. Unlike by ESO the password is never sent as it
stands where a server asks for ``Basic``.
"""

from __future__ import annotations

import base64
import binascii
import logging
import struct
from collections.abc import Awaitable, Callable
from typing import Final

import spnego

from keyferry.errors import Denied
from keyferry.providers.webhook.requests import Request
from keyferry.providers.webhook.wire import Answer

# It logs the messages as they are, from which a weak password can be guessed.
logging.getLogger("spnego").setLevel(logging.CRITICAL)

_SCHEMES: Final = ("NTLM", "Negotiate")
_CHALLENGE: Final = struct.Struct("<8sIHHIIQ")
"""Start of a challenge: signature, type, length, room and place of the target's name, flags, the challenge itself."""
_UNICODE: Final = 1
"""Flag: texts are UTF-16."""


class Ntlm:
    """One user."""

    def __init__(self, user: str, password: str) -> None:
        self._user = user
        self._password = password

    async def ask(self, request: Request, send: Callable[[Request], Awaitable[Answer]], address: str) -> Answer:
        """The answer to a request; ``send`` has to keep to one connection.

        Raises ``Denied`` where the server does not take part; a refusal of the user is an answer. ``address`` is for
        the error text.
        """
        request = request.without("Authorization")
        answer = await send(request)
        if answer.status != 401:
            return answer
        scheme = _scheme(answer)
        if scheme is None:
            raise Denied(f"{address} asks for a login that is not NTLM", remedy="leave auth out, and use headers")
        host = request.url.host or ""
        try:
            client = _client(self._user, self._password, host)
            first = client.step() or b""
            # The request's body waits until the server knows who asks.
            opening = await send(_with(request, scheme, first, body=b""))
            challenge = _token(opening, scheme)
            if challenge is None:
                raise Denied(f"{address} breaks off the login by NTLM", remedy="check that NTLM is enabled there")
            client = self._placed(client, first, challenge, host)
            last = client.step(challenge) or b""
        except (spnego.exceptions.SpnegoError, ValueError, struct.error):
            raise Denied(
                f"{address} sends an NTLM challenge that makes no sense", remedy="look at what stands before it"
            ) from None
        return await send(_with(request, scheme, last, body=request.body))

    def _placed(self, client: spnego.ContextProxy, first: bytes, challenge: bytes, host: str) -> spnego.ContextProxy:
        """A client whose user is of the domain that the server calls its own, where the user names none: as ESO."""
        if "\\" in self._user or "@" in self._user:
            return client
        domain = _target(challenge)
        placed = _client(f"{domain}\\{self._user}", self._password, host) if domain else client
        return placed if domain and placed.step() == first else client


def _client(user: str, password: str, host: str) -> spnego.ContextProxy:
    # Python's own NTLM: the system's libraries, where there are any, look for files and environment variables.
    return spnego.client(
        user, password, hostname=host, service="http", protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm
    )


def _scheme(answer: Answer) -> str | None:
    offered = {each.partition(" ")[0].lower() for each in answer.headers.getall("WWW-Authenticate", ())}
    return next((scheme for scheme in _SCHEMES if scheme.lower() in offered), None)


def _token(answer: Answer, scheme: str) -> bytes | None:
    """What a server sends along with the scheme; None where it sends nothing. Raises ``ValueError``."""
    for each in answer.headers.getall("WWW-Authenticate", ()):
        name, _, text = each.partition(" ")
        if name.lower() == scheme.lower() and text.strip():
            try:
                return base64.b64decode(text.strip(), validate=True)
            except binascii.Error:
                raise ValueError(scheme) from None
    return None


def _target(challenge: bytes) -> str:
    """The name that a server gives itself in its challenge: of its domain, or its own. Raises ``struct.error``."""
    _, _, length, _, place, flags, _ = _CHALLENGE.unpack_from(challenge)
    return challenge[place : place + length].decode("utf-16-le" if flags & _UNICODE else "latin-1", "replace")


def _with(request: Request, scheme: str, token: bytes, *, body: bytes) -> Request:
    from_scheme = f"{scheme} {base64.b64encode(token).decode()}"
    return Request(request.method, request.url, request.having("Authorization", from_scheme).headers, body)
