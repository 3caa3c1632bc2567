"""Requests with the store's token: the only way from the KV engine to the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from keyferry.errors import Denied
from keyferry.providers.vault.answers import Answer, Purpose
from keyferry.providers.vault.auth import granted, look_up
from keyferry.providers.vault.session import Session
from keyferry.providers.vault.tokens import Grant, Source, Tokens


class TokenCalls:
    """Questions about tokens, asked in the namespace of the login."""

    def __init__(self, session: Session, namespace: str) -> None:
        self._session = session
        self._namespace = namespace

    async def look_up(self, token: str) -> None:
        await look_up(self._session, token, self._namespace)

    async def renew(self, grant: Grant) -> Grant:
        answer = await self._session.call(
            "RenewSelf",
            "post",
            "auth/token/renew-self",
            purpose=Purpose(doing="renew the token"),
            token=grant.token,
            namespace=self._namespace,
            body={},
        )
        return replace(granted(answer, "auth"), revocable=grant.revocable)

    async def revoke(self, token: str) -> None:
        # Not tried again: the adapter is closing, and the token ends by itself.
        await self._session.call(
            "RevokeSelf",
            "post",
            "auth/token/revoke-self",
            purpose=Purpose(doing="revoke the token"),
            token=token,
            namespace=self._namespace,
            body={},
            retry=False,
        )


class Door:
    """One server, one namespace, one identity."""

    def __init__(
        self,
        session: Session,
        source: Source,
        *,
        namespace: str,
        login_namespace: str,
        expires: Callable[[float | None], None] = lambda _at: None,
    ) -> None:
        """``expires``: see ``ports.Context``."""
        self.address = session.address
        self.tokens = Tokens(source, TokenCalls(session, login_namespace), expires=expires)
        self._session = session
        self._namespace = namespace

    async def ask(
        self,
        call: str,
        method: str,
        path: str,
        *,
        purpose: Purpose,
        params: Mapping[str, str] | None = None,
        insist: bool = True,
    ) -> Answer:
        """One request. Refused with 403, it is made once more with another token, if there can be a better one.

        ``insist`` is off for what is only good to know: no retries, no new login.
        """
        grant = await self.tokens.current()
        try:
            return await self._send(call, method, path, purpose, params, grant.token, retry=insist)
        except Denied as refusal:
            fresh = await self.tokens.after_refusal(grant) if insist else None
            if fresh is None:
                raise refusal from None
        return await self._send(call, method, path, purpose, params, fresh.token, retry=insist)

    async def aclose(self) -> None:
        """Revoke the token and close the connections. Idempotent."""
        await self.tokens.aclose()
        self._session.close()

    async def _send(
        self,
        call: str,
        method: str,
        path: str,
        purpose: Purpose,
        params: Mapping[str, str] | None,
        token: str,
        *,
        retry: bool,
    ) -> Answer:
        return await self._session.call(
            call,
            method,
            path,
            purpose=purpose,
            token=token,
            namespace=self._namespace,
            params=params,
            retry=retry,
        )
