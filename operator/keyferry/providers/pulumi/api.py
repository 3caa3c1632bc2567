"""The REST API of Pulumi ESC: requests, and the one table from status to error.

Paths and answers are those of Pulumi's documentation (REST API, environments). The texts of diagnostics are not
repeated: they come from whatever an environment is made of, and may hold anything. Their place is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, PropertyNotThere, Unreachable
from keyferry.jsonhttp import Answer, JsonHttp, part
from keyferry.ports import Context
from keyferry.providers.pulumi.login import Login
from keyferry.providers.pulumi.paths import Number, loads

_ACCEPT: Final = "application/vnd.pulumi+8"
_LONGEST: Final = 100
"""Characters of an environment's name that are repeated."""
_LIFETIME: Final = "15m"
"""How long Pulumi keeps what was opened. It is read at once; the default is two hours."""


class Api:
    """One environment, one login."""

    def __init__(
        self, http: JsonHttp, login: Login, context: Context, *, prefix: str, environment: tuple[str, ...]
    ) -> None:
        self._http = http
        self._login = login
        self._context = context
        self._path = f"{prefix}/environments/{'/'.join(map(part, environment))}"
        self.name = "/".join(environment)
        """Organization, project and environment."""

    async def check(self) -> None:
        """Raises a KeyferryError where the environment cannot be opened.

        A look at it is enough where the token may read its definition; one that may only open it has to do that.
        """
        try:
            await self._ask("CheckEnvironment", "HEAD", self._path)
        except Denied:
            await self.open("")

    async def open(self, version: str) -> str:
        """Evaluate the environment, at a revision or tag where one is given; the result is the id of what was opened.

        Raises ``PropertyNotThere`` where the environment has no such version.
        """
        path = f"{self._path}/versions/{part(version)}" if version else self._path
        try:
            answer = await self._ask("OpenEnvironment", "POST", f"{path}/open", {"duration": _LIFETIME})
        except Denied:
            if version:
                await self._tell_version(version)
            raise
        session = answer.get("id")
        if not isinstance(session, str) or not session:
            raise self._strange()
        return session

    async def read(self, session: str) -> Mapping[str, Any]:
        """The values of what was opened, by name."""
        answer = await self._ask("ReadOpenEnvironment", "GET", f"{self._path}/open/{part(session)}")
        properties = answer.get("properties")
        # It is left out where the environment has no values; something of it is there.
        if properties is None and answer.keys() & {"exprs", "schema", "executionContext"}:
            return {}
        if not isinstance(properties, dict):
            raise self._strange()
        return properties

    async def read_property(self, session: str, path: str) -> Any:
        """The value that Pulumi itself selects by a path; None where it selects none."""
        answer = await self._ask(
            "ReadOpenEnvironmentProperty", "GET", f"{self._path}/open/{part(session)}", {"property": path}
        )
        return answer if answer.get("value") is not None else None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _tell_version(self, version: str) -> None:
        await self._ask("CheckEnvironment", "HEAD", self._path)
        raise PropertyNotThere(
            f'environment "{self.name}" has no version "{version}"', remedy="give the number of a revision, or a tag"
        )

    async def _ask(self, call: str, method: str, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The object that is answered; empty for HEAD. A refused token is replaced once, where another can be had."""

        async def send(token: str) -> Answer:
            return await self._http.request(
                method, path, query=query, headers={"Authorization": f"token {token}", "Accept": _ACCEPT}
            )

        async def once() -> dict[str, Any]:
            token = await self._login.token()
            with self._context.observe(call):
                answer = await send(token)
                if answer.status == 401 and (renewed := await self._login.token(refused=token)) != token:
                    answer = await send(renewed)
                verdict = self._judge(answer, method)
                if isinstance(verdict, KeyferryError):
                    raise verdict
                return verdict

        return await transport.retried(once, self._context.retries)

    def _judge(self, answer: Answer, method: str) -> dict[str, Any] | KeyferryError:
        address, status = self._http.address, answer.status
        if method == "HEAD" and status < 300:
            return {}
        body = loads(answer.content)
        if status < 300:
            return body if isinstance(body, dict) else self._strange()
        if status == 429:
            pause = transport.retry_after(answer.headers.get("retry-after"))
            return Busy(f"{address} limits the rate of requests", retry_after=pause)
        if status >= 500:
            return Unreachable(f'{address} fails to open environment "{self.name}" (HTTP {status})')
        if status == 401:
            return Denied(
                f"{address} does not accept the access token",
                remedy="check that it is one of this Pulumi, and not revoked",
            )
        if method != "HEAD" and not (isinstance(body, dict) and body.get("code") == Number(str(status))):
            return self._strange()
        return self._refusal(status, body.get("diagnostics") if isinstance(body, dict) else None)

    def _refusal(self, status: int, diagnostics: Any) -> KeyferryError:
        name = f'environment "{self.name}"'
        if status == 403:
            return Denied(f"the access token may not open {name}", remedy="give it the permission to open it")
        if status == 404:
            return Denied(
                f"{self._http.address} shows the access token no {name}",
                remedy="check organization, project and environment, and that the token may open it",
            )
        if status == 400 and isinstance(diagnostics, list) and diagnostics:
            return BadSpec(
                f"{name} cannot be evaluated: {len(diagnostics)} errors{_place(diagnostics[0])}",
                remedy="open it with Pulumi's own tools to see them",
            )
        return BadSpec(f"{self._http.address} refuses to open {name} (HTTP {status})")

    def _strange(self) -> Unreachable:
        return Unreachable(
            f"{self._http.address} answers, but not as Pulumi does",
            remedy="check apiUrl, and what stands between it and the operator",
        )


def _place(diagnostic: Any) -> str:
    """Where an error is: a line of an environment's definition."""
    span = diagnostic.get("range") if isinstance(diagnostic, dict) else None
    begin = span.get("begin") if isinstance(span, dict) else None
    line = begin.get("line") if isinstance(begin, dict) else None
    where = span.get("environment") if isinstance(span, dict) else None
    if not isinstance(line, Number) or not isinstance(where, str):
        return ""
    return f', the first in line {line.text} of "{where[:_LONGEST]}"'
