"""The server's side of NTLM for ``tests.sandbox.webhook``: it takes NTLMv2 and nothing else (MS-NLMP, MS-NTHT).

    hooks.routes["/ntlm"] = Ntlm(user="svc", domain="EXAMPLE", nt_hash=hash_of_the_password, body='{"value": "x"}')

Written after the specification, on hashlib's own MD5: what it accepts was not made by the code that made the message.
A login is of its connection. Every step is checked: the message of each, the order, the response to this challenge,
and the code over all three messages.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

_SIGNATURE = b"NTLMSSP\x00"
_FLAGS = 0x00000001 | 0x4 | 0x200 | 0x8000 | 0x10000 | 0x80000 | 0x800000 | 0x2000000 | 0x20000000 | 0x80000000
"""Unicode; name and information of the target, a domain; NTLM, always sign, extended security; version; 128, 56."""
_MIC = slice(72, 88)


@dataclass
class _Connection:
    first: bytes = b""
    challenge: bytes = b""
    user: str = ""


@dataclass
class Ntlm:
    """A route. ``users`` lists who logged in, in order."""

    user: str
    domain: str
    nt_hash: bytes
    """MD4 of the password in UTF-16."""
    body: str = ""
    scheme: str = "NTLM"
    forgets: bool = False
    """A login is good for one request only."""
    users: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    _connections: dict[Any, _Connection] = field(default_factory=dict)

    async def __call__(self, request: web.Request) -> web.Response:
        """Answer ``body`` to who is logged in."""
        state = self._connections.setdefault(request.protocol, _Connection())
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        token = base64.b64decode(text) if scheme == self.scheme else b""
        if token[:12] == _SIGNATURE + struct.pack("<I", 1):
            self.steps.append("negotiate")
            state.first, state.challenge, state.user = token, self._challenge(), ""
            return self._ask(base64.b64encode(state.challenge).decode())
        if token[:12] == _SIGNATURE + struct.pack("<I", 3):
            self.steps.append("authenticate")
            state.user = self._verified(state, token)
            self.users += [state.user] if state.user else []
        elif scheme:
            self.steps.append(scheme)
        else:
            self.steps.append("plain")
        if not state.user:
            return self._ask()
        if self.forgets:
            state.user = ""
        return web.Response(text=self.body, content_type="application/json")

    def _ask(self, challenge: str = "") -> web.Response:
        response = web.Response(status=401, text="x" * 6000)
        response.headers.add("WWW-Authenticate", "Bearer realm=x")
        response.headers.add("WWW-Authenticate", f"{self.scheme} {challenge}".strip())
        return response

    def _challenge(self) -> bytes:
        name = self.domain.encode("utf-16-le")
        # The domain's name, the server's, a time (which obliges the client to sign all messages), and the end.
        pairs = [(2, name), (1, "WEB01".encode("utf-16-le")), (7, struct.pack("<Q", 133_000_000_000_000_000)), (0, b"")]
        about = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in pairs)
        start = 56
        return (
            _SIGNATURE
            + struct.pack("<IHHII", 2, len(name), len(name), start, _FLAGS)
            + secrets.token_bytes(8)
            + bytes(8)
            + struct.pack("<HHI", len(about), len(about), start + len(name))
            + struct.pack("<BBHI", 10, 0, 20348, 15 << 24)
            + name
            + about
        )

    def _verified(self, state: _Connection, message: bytes) -> str:
        """The domain and user of a message that proves the password to the challenge before it; "" otherwise."""
        if not state.challenge:
            return ""
        response, domain, user = (_field(message, place) for place in (20, 28, 36))
        if len(response) <= 24 or user.decode("utf-16-le").lower() != self.user.lower():
            return ""
        key = _hmac(self.nt_hash, user.decode("utf-16-le").upper().encode("utf-16-le") + domain)
        proof = _hmac(key, state.challenge[24:32] + response[16:])
        if not hmac.compare_digest(proof, response[:16]):
            return ""
        if domain.decode("utf-16-le") != ("" if "@" in self.user else self.domain):
            return ""
        blank = bytearray(message)
        blank[_MIC] = bytes(16)
        code = _hmac(_hmac(key, proof), state.first + state.challenge + bytes(blank))
        state.challenge = b""
        return f"{self.domain}\\{user.decode('utf-16-le')}" if hmac.compare_digest(code, message[_MIC]) else ""


def _field(message: bytes, place: int) -> bytes:
    length, _, start = struct.unpack_from("<HHI", message, place)
    return message[start : start + length]


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "md5")
