"""GitLab's REST API, version 4: requests, paging, and the one table from status to error.

Statuses and headers are those of GitLab's documentation (REST API; project-level and group-level variables; rate
limits). GitLab answers 404, not 403, for a project or group that a token may not see; so that is never an absence.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from keyferry import transport
from keyferry.errors import BadSpec, Busy, Denied, KeyferryError, Unreachable
from keyferry.jsonhttp import Answer, JsonHttp, part
from keyferry.ports import Context
from keyferry.providers.gitlab.variables import ALL, Variable

PER_PAGE: Final = 100
"""Entries of a page; GitLab gives no more."""
_MOST_PAGES: Final = 500
"""Pages after which a listing makes no sense: GitLab allows 30,000 variables."""
_PAGING: Final = frozenset({"link", "x-next-page", "x-page", "x-total"})
"""Headers of a listing, one of which GitLab always sends."""
_LISTINGS: Final = 3
"""How often a listing is begun anew that changed under way."""


@dataclass(frozen=True, slots=True)
class Place:
    """A project or a group."""

    kind: Literal["project", "group"]
    id: str

    @property
    def path(self) -> str:
        """Of its variables."""
        return f"/{self.kind}s/{part(self.id)}/variables"

    @property
    def role(self) -> str:
        """The role that may read its variables."""
        return "Maintainer" if self.kind == "project" else "Owner"

    def __str__(self) -> str:
        return f'{self.kind} "{self.id}"'


@dataclass(frozen=True, slots=True, repr=False)
class Page:
    """A page of a listing. The repr shows nothing of it."""

    entries: Sequence[Mapping[str, Any]]
    following: int
    """Number of the next page, 0 after the last one."""
    pages: int | None
    """How many there are, where GitLab says so: it does not for very many entries, or a proxy drops the header."""
    total: str
    """How many entries there are, as GitLab writes it; "" where it does not."""


class Api:
    """One instance, one token."""

    def __init__(self, http: JsonHttp, context: Context) -> None:
        self._http = http
        self._context = context

    async def page(self, place: Place, number: int, *, per_page: int = PER_PAGE) -> Page:
        """One page of the variables of a place, as GitLab sends them."""
        call = "ProjectVariablesList" if place.kind == "project" else "GroupVariablesList"
        return await self._page(call, place.path, place, number, per_page)

    async def listing(self, place: Place, first: Page | None = None) -> Sequence[Variable]:
        """Every variable of a place. ``first`` is its first page, where that is known already.

        Raises ``Unreachable`` where the listing changes each time while its pages are read: it could miss one.
        """
        for _ in range(_LISTINGS):
            pages = await self._following(place, first or await self.page(place, 1))
            first = None
            if len({page.total for page in pages}) == 1:
                return variables(entry for page in pages for entry in page.entries)
        raise Unreachable(f"the variables of {place} change while they are listed")

    async def single(self, place: Place, key: str, scope: str | None) -> Variable | None:
        """One variable; None where it does not exist. ``scope`` None: whichever there is.

        Raises ``BadSpec`` where there are several.
        """
        call = "ProjectVariableGet" if place.kind == "project" else "GroupVariableGet"
        query = {} if scope is None else {"filter[environment_scope]": scope}
        answer = await self._get(call, f"{place.path}/{part(key)}", query, place, f'variable "{key}"')
        if answer is None:
            return None
        body = answer.json()
        if not isinstance(body, dict):
            raise self._strange()
        return variables([body])[0]

    async def groups_of(self, project: Place) -> Sequence[Place]:
        """The groups above a project, the farthest one first."""
        path = f"/projects/{part(project.id)}/groups"
        found: list[Mapping[str, Any]] = []
        number = 1
        while number:
            page = await self._page("ListProjectsGroups", path, project, number, PER_PAGE)
            found += page.entries
            number = page.following
        try:
            return [
                Place("group", str(entry["id"])) for entry in sorted(found, key=lambda each: len(each["full_path"]))
            ]
        except (KeyError, TypeError):
            raise self._strange() from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _following(self, place: Place, first: Page) -> Sequence[Page]:
        """A page, and all that come after it."""
        pages = [first]
        if first.pages is not None:
            return pages + await asyncio.gather(*(self.page(place, number) for number in range(2, first.pages + 1)))
        while pages[-1].following:
            pages.append(await self.page(place, pages[-1].following))
        return pages

    async def _page(self, call: str, path: str, place: Place, number: int, per_page: int) -> Page:
        query = {"page": str(number), "per_page": str(per_page)}
        answer = await self._get(call, path, query, place, f"the {path.rpartition('/')[2]} of {place}")
        body = None if answer is None else answer.json()
        if answer is None or not isinstance(body, list) or not all(isinstance(entry, dict) for entry in body):
            raise self._strange()
        if not body and not answer.headers.keys() & _PAGING:
            # Deletion policies act on what is not there, so it has to be GitLab who says that there is nothing.
            raise self._strange()
        following = answer.headers.get("x-next-page")
        if following is None:
            after = number + 1 if len(body) == per_page else 0
        else:
            after = int(following) if following.isascii() and following.isdigit() else 0
        pages = answer.headers.get("x-total-pages", "")
        count = int(pages) if pages.isascii() and pages.isdigit() else None
        if max(after, count or 0) > _MOST_PAGES:
            raise self._strange()
        return Page(body, after, count, answer.headers.get("x-total", ""))

    async def _get(self, call: str, path: str, query: Mapping[str, str], place: Place, what: str) -> Answer | None:
        """An answer of 200; None where there is no such variable."""

        async def once() -> Answer | None:
            with self._context.observe(call):
                answer = await self._http.request("GET", path, query=query)
                verdict = self._judge(answer, place, what)
                if isinstance(verdict, KeyferryError):
                    raise verdict
                return verdict

        return await transport.retried(once, self._context.retries)

    def _judge(self, answer: Answer, place: Place, what: str) -> Answer | KeyferryError | None:
        address, status = self._http.address, answer.status
        if status == 200:
            return answer
        if status == 429:
            return Busy(f"{address} limits the rate of requests", retry_after=_pause(answer.headers))
        body = answer.json()
        words = body if isinstance(body, dict) else {}
        if status == 401:
            return self._unauthorized(str(words.get("error_description", "")))
        if status == 403:
            return self._forbidden(str(words.get("error", "")), place, what)
        if status == 404:
            return self._not_found(str(words.get("message", "")), place)
        if status == 409:
            return BadSpec(f"{what} exists for several environments", remedy="set environment of the store")
        if status == 400:
            return BadSpec(f"{address} refuses to read {what} (HTTP 400)", remedy="check projectID and groupIDs")
        if status >= 500:
            return Unreachable(f"{address} fails to read {what} (HTTP {status})")
        return self._strange()

    def _unauthorized(self, description: str) -> Denied:
        for state in ("revoked", "expired"):
            if state in description:
                return Denied(f"the access token is {state}", remedy="issue another one and put it into the Secret")
        return Denied(
            f"{self._http.address} does not accept the access token",
            remedy="check that the Secret holds one of this instance, not expired and not revoked",
        )

    def _forbidden(self, error: str, place: Place, what: str) -> Denied:
        if error == "insufficient_scope":
            return Denied("the access token lacks a scope", remedy="issue one with the scope read_api")
        return Denied(
            f"{self._http.address} does not permit to read {what}",
            remedy=f"give the token, or its user, the role {place.role} in {place}",
        )

    def _not_found(self, message: str, place: Place) -> KeyferryError | None:
        if message.endswith(" Variable Not Found"):
            return None
        if message.endswith((" Project Not Found", " Group Not Found")):
            return Denied(
                f"{self._http.address} shows the access token no {place}",
                remedy=f"check its number or path, and give the token the role {place.role} there",
            )
        return self._strange()

    def _strange(self) -> Unreachable:
        return Unreachable(
            f"{self._http.address} answers, but not as GitLab does",
            remedy="check url, and what stands between it and the operator",
        )


def variables(entries: Iterable[Mapping[str, Any]]) -> list[Variable]:
    """The variables of a listing. Raises ``Unreachable`` where an entry is none.

    A group's variable has no scope in editions of GitLab that know none for groups.
    """
    found = []
    for entry in entries:
        key, value, scope = entry.get("key"), entry.get("value"), entry.get("environment_scope") or ALL
        if not isinstance(key, str) or not isinstance(value, str | None) or not isinstance(scope, str):
            raise Unreachable("GitLab's answer holds no variable", remedy="check url")
        found.append(Variable(key, scope, None if entry.get("hidden") else value))
    return found


def _pause(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """Seconds to wait: of Retry-After, or until RateLimit-Reset, which is in seconds since the epoch."""
    given = transport.retry_after(headers.get("retry-after"))
    reset = headers.get("ratelimit-reset", "")
    if given is None and reset.isascii() and reset.isdigit():
        return max(0.0, float(reset) - now())
    return given
