"""One store's token: when it is asked for, how long it is used, and what a refused login means.

The SDK's clients ask here for tokens. Here, and not in azure-identity, is remembered what was given: its own memory
would give the same token again after a vault has refused it. Every token is asked for by a new credential.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.core.exceptions import AzureError, ClientAuthenticationError

from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.kits.flight import Flight
from keyferry.providers.azurekv.identity import Identity
from keyferry.transport import retry_after

_MARGIN: Final = 300.0
"""Seconds before its end at which a token is replaced; the SDK asks for another one then."""
_ECHO: Final = 1.0
"""Seconds for which a failed login is told without another attempt, so that many reads are not many attempts."""
_PAUSE: Final = 30.0
"""Seconds between attempts to replace a token that still works."""


_Wanted = tuple[tuple[str, ...], str | None]
"""Scopes, and the claims that a vault asked for when it refused a token (continuous access evaluation)."""


@dataclass(slots=True, repr=False)
class _Held:
    info: AccessTokenInfo
    wanted: _Wanted
    renew_at: float
    accepted: bool = False

    def serves(self, wanted: _Wanted, now: float) -> bool:
        """Whether the token is good for this; one that was asked for with claims is good without them, too."""
        scopes, claims = wanted
        return scopes == self.wanted[0] and claims in {None, self.wanted[1]} and now < self.info.expires_on


class Login:
    """The token of one store. The SDK's clients take it for a credential of azure-identity.

    Args:
        identity: who logs in, and where.
        audience: the domain of vaults that a token may be for. "" leaves it to the SDK, which takes a domain only if
            the vault's own host is below it.
        observe: counts the requests.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        audience: str,
        observe: Callable[[str], AbstractContextManager[None]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._audience = audience
        self._observe = observe
        self._clock = clock
        self._held: _Held | None = None
        self._failed: tuple[float, KeyferryError] | None = None
        self._asking: Flight[_Wanted, AccessTokenInfo] = Flight()
        self.generation = 0
        """Counts tokens that worked and then were refused."""

    async def get_token_info(self, *scopes: str, options: TokenRequestOptions | None = None) -> AccessTokenInfo:
        """A token for ``scopes``; asked for once, whoever waits for it. Raises a KeyferryError.

        The tenant that a vault names is not followed: it is the store that says which tenant it logs in to.
        """
        self._check(scopes)
        wanted = (scopes, (options or {}).get("claims"))
        now = self._clock()
        held = self._held if self._held is not None and self._held.serves(wanted, now) else None
        if held is not None and now < held.renew_at:
            return held.info
        if held is None and self._failed is not None and now < self._failed[0]:
            raise self._failed[1].copy()
        try:
            return await self._asking.join(wanted, lambda: self._ask(wanted))
        except KeyferryError as error:
            if held is None or not isinstance(error, Unreachable | Busy):
                self._failed = (self._clock() + _ECHO, error.copy())
                raise error.copy() from None
            # It works for a while yet: whoever issues tokens may be back until then.
            held.renew_at = now + _PAUSE
            return held.info

    def accepted(self) -> None:
        """The vault took the token, whatever it then said."""
        if self._held is not None:
            self._held.accepted = True

    def refused(self, generation: int) -> bool:
        """The vault refused a token of ``generation``. Whether another one is worth an attempt: if this one worked.

        Whoever comes second finds that it has been dropped already.
        """
        if self._held is not None and self._held.accepted and generation == self.generation:
            self._held = None
            self.generation += 1
        return generation != self.generation

    async def aclose(self) -> None:
        """Forget the token. Entra ID has no way to revoke it."""
        await self._asking.drain()
        self._held = None

    def _check(self, scopes: tuple[str, ...]) -> None:
        allowed = f"https://{self._audience}/.default"
        if self._audience and any(scope != allowed for scope in scopes):
            raise BadSpec(
                f"the vault asks for a token that is not for {self._audience}",
                remedy="check vaultUrl and environmentType; it may be no vault",
            )

    async def _ask(self, wanted: _Wanted) -> AccessTokenInfo:
        scopes, claims = wanted
        options: TokenRequestOptions = {"enable_cae": True}
        if claims:
            options["claims"] = claims
        now = self._clock()
        with self._observe("GetToken"):
            credential = await self._identity.credential()
            try:
                info = await credential.get_token_info(*scopes, options=options)
            except AzureError as error:
                raise judge(error, name=self._identity.name, address=self._identity.address) from None
            except (ValueError, TypeError, LookupError, AttributeError):
                raise _no_entra(self._identity.address) from None
            finally:
                await credential.close()
        # Half of a short life, so that it is not asked for all the time.
        late = max(info.expires_on - _MARGIN, now + (info.expires_on - now) / 2)
        renew_at = min(late, info.refresh_on or late)
        kept = AccessTokenInfo(info.token, info.expires_on, token_type=info.token_type, refresh_on=int(renew_at))
        self._held = _Held(kept, wanted, renew_at)
        return kept


_REMEDIES: Final = {
    7000215: "put the client secret's value, not its id, under authSecretRef.clientSecret",
    7000222: "the client secret has expired: make a new one",
    700016: "check client id, tenantId and environmentType",
    700027: "add the certificate to the app registration",
    7000112: "the application is disabled: enable it",
    90002: "check tenantId and environmentType",
    900021: "check tenantId",
    900023: "check tenantId",
    500011: "check environmentType",
    70021: "give the application a federated credential for issuer, subject and audience of the token",
    700211: "give the application a federated credential for the issuer of the cluster's tokens",
    700212: "the federated credential has to name an audience of the token: see serviceAccountRef.audiences",
    700213: "the federated credential has to name the subject system:serviceaccount:NAMESPACE:NAME",
    700024: "check the clock of the cluster",
}
"""What to do about the errors of Entra ID that a store's author can mend (AADSTS codes)."""
_THROTTLED: Final = frozenset({90055, 50196})
_CODE: Final = re.compile(r"AADSTS(\d{4,8})")


def judge(error: AzureError, *, name: str, address: str) -> KeyferryError:
    """What a failed login means. Of the answer, only codes are repeated: the rest holds times and ids."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, KeyferryError):
            return cause.copy()
        response: Any = getattr(cause, "response", None)
        if response is not None:
            return _judge(response, name, address)
        cause = cause.__cause__
    if isinstance(error, ClientAuthenticationError):
        return _no_entra(address)
    return Unreachable(f"{address} cannot be reached")


def _judge(response: Any, name: str, address: str) -> KeyferryError:
    status = response.status_code
    try:
        body = json.loads(response.text())
    except (ValueError, LookupError):
        body = None
    said = body if isinstance(body, dict) else {}
    code = said.get("error")
    found = _CODE.search(str(said.get("error_description", "")))
    number = int(found[1]) if found else 0
    if status == 429 or number in _THROTTLED:
        seconds = retry_after(response.headers.get("Retry-After"))
        return Busy(f"{address} limits the rate of logins", retry_after=seconds)
    if status >= 500 or status in {404, 408, 410} or code == "temporarily_unavailable":
        return Unreachable(f"{address} cannot serve logins (HTTP {status})", remedy="look at the status of Azure")
    if number:
        remedy = _REMEDIES.get(number, "look the code up at https://login.microsoftonline.com/error")
        return Denied(f"{address} refuses to log in {name} (AADSTS{number})", remedy=remedy)
    if status in {400, 401, 403} and isinstance(code, str):
        return Denied(
            f"{address} refuses to log in {name} ({_word(code)})",
            remedy="check that it exists, and that it is assigned to where Keyferry runs",
        )
    return _no_entra(address)


def _word(code: str) -> str:
    return code if re.fullmatch(r"[A-Za-z_.]{1,40}", code) else "no reason given"


def _no_entra(address: str) -> Unreachable:
    return Unreachable(
        f"{address} answers, but not as Entra ID does",
        remedy="check environmentType, and what stands between it and the operator",
    )
