"""Plays a case: does its steps, and compares."""

from __future__ import annotations

import asyncio
import base64
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keyferry.api.duration import parse_duration
from keyferry.kubehttp.config import from_environment
from tests.support.cases import view
from tests.support.cases.admin import Admin, RefusedError
from tests.support.cases.clock import StillLoop
from tests.support.cases.script import Case, Json, load
from tests.support.cases.stage import Stage

CANARY = re.compile(r"canary-[-\w]+")
_NEIGHBOUR = re.compile(r"\bNEIGHBOUR\b")


@dataclass(frozen=True)
class ApiServer:
    """Where it is, and the CA (PEM) that vouches for it."""

    kubeconfig: Path
    url: str
    authority: bytes


def run(folder: Path, server: ApiServer) -> None:
    """Play the case of a folder. Fails with a diff."""
    with asyncio.Runner(loop_factory=StillLoop) as runner:
        runner.run(_run(folder, server))


async def _run(folder: Path, server: ApiServer) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, StillLoop)
    text = (folder / "in.yaml").read_text("utf-8")
    own = f"case-{uuid.uuid4().hex[:10]}"
    namespaces = [own, f"{own}-neighbour"] if _NEIGHBOUR.search(text) else [own]
    names = {
        "NAMESPACE": own,
        "NEIGHBOUR": namespaces[-1],
        "API_SERVER": server.url,
        "API_CA": base64.b64encode(server.authority).decode(),
    }
    endpoint = await from_environment(str(server.kubeconfig), None)
    admin = Admin(endpoint, own)
    stage = Stage(endpoint, admin, loop, namespaces)
    try:
        for name in namespaces:
            await admin.create({"kind": "Namespace", "metadata": {"name": name}}, "kubectl")
        await _Player(load(folder, names), admin, stage, namespaces, set(CANARY.findall(text))).play()
    finally:
        await stage.aclose()
        await _clean_up(admin, own)
        await admin.aclose()


async def _clean_up(admin: Admin, namespace: str) -> None:
    for body in await admin.list("ExternalSecret", namespace):
        if body["metadata"].get("finalizers"):
            await admin.edit(
                {"kind": "ExternalSecret", "metadata": {"name": body["metadata"]["name"], "finalizers": []}}, "kubectl"
            )
    for kind, name in admin.cluster_wide:
        try:
            await admin.delete(kind, name)
        except RefusedError as error:
            if error.status != 404:
                raise


class _Player:
    def __init__(self, case: Case, admin: Admin, stage: Stage, namespaces: list[str], canaries: set[str]) -> None:
        self._case = case
        self._admin = admin
        self._stage = stage
        self._namespaces = namespaces
        self._canaries = canaries
        self._told: set[str] = set()
        self._flags: list[str] = []
        self._verbs: dict[str, Callable[[Any, str], Awaitable[list[str]]]] = {
            "flags": self._restart,
            "provider": self._provide,
            "apply": lambda given, by: self._each(given, lambda one: self._admin.apply(one, by or "kubectl")),
            "create": lambda given, by: self._each(given, lambda one: self._admin.create(one, by or "somebody")),
            "edit": lambda given, by: self._each(given, lambda one: self._admin.edit(one, by or "somebody")),
            "delete": lambda given, _: self._each(given, lambda one: self._admin.delete(*one.split(" "))),
            "terminating": self._terminate,
            "advance": self._advance,
        }

    async def play(self) -> None:
        for step in self._case.steps:
            refused = await self._perform(step)
            await self._stage.settle()
            await self._compare(step["step"], self._case.expected.get(step["step"]), refused)
        await self._stage.look_again()
        # An Event that is older than an hour is told again; the API server has forgotten it.
        await self._compare("another look at every object", {"writes": []}, [])
        await self._stage.look_again()
        await self._compare("one more look at every object", {"events": [], "writes": []}, [])
        for kind in ("ExternalSecret", "SecretStore", "ClusterSecretStore"):
            for body in await self._admin.list(kind):
                told = str(body.get("status"))
                assert not [each for each in self._canaries if each in told], f"a status shows a value: {told}"

    async def _perform(self, step: Json) -> list[str]:
        if step.get("stopped"):
            await self._stage.stop()
        elif not self._stage.is_running and "flags" not in step:
            await self._stage.start(self._flags)
        refused = []
        for verb, given in step.items():
            if verb not in {"step", "stopped", "as"}:
                refused += await self._verbs[verb](given, step.get("as", ""))
        return refused

    async def _compare(self, step: str, expected: Json | None, refused: list[str]) -> None:
        observed: Json = {
            "events": await self._new_events(),
            "reads": self._stage.taken_reads(),
            "writes": self._stage.taken_writes(),
            "refused": refused,
        }
        for name in expected or ():
            if name not in observed:
                observed[name] = await self._object(name)
        if expected is None:
            assert not refused, f"in step {step!r} the API server refuses a manifest: {refused}"
            expected = {}
        different = view.difference({"refused": [], **expected}, observed)
        assert not different, f"after step {step!r}:\n{different}"

    async def _object(self, title: str) -> Json | None:
        kind, _, name = title.partition(" ")
        body = await self._admin.get(kind, name)
        if body is None:
            return None
        return view.secret(body) if kind == "Secret" else view.custom(body)

    async def _new_events(self) -> list[str]:
        """Events told since the last call, in order. Also the place where canaries are looked for."""
        mine: list[Json] = []
        for namespace in dict.fromkeys((*self._namespaces, "default")):
            mine += [
                body
                for body in await self._admin.list("Event", namespace)
                if namespace != "default"
                or (body["involvedObject"]["kind"], body["involvedObject"]["name"]) in self._admin.cluster_wide
            ]
        new = [body for body in mine if body["metadata"]["uid"] not in self._told]
        self._told |= {body["metadata"]["uid"] for body in mine}
        told = [
            view.event(body)
            for body in sorted(new, key=lambda body: int(body["metadata"]["name"].rpartition(".")[2], 16))
        ]
        for canary in self._canaries:
            assert not any(canary in text for text in told), f"an Event shows a value: {told}"
        return told

    async def _each(self, given: list[Any], act: Callable[[Any], Awaitable[None]]) -> list[str]:
        refused = []
        for one in given:
            try:
                await act(one)
            except RefusedError as error:
                if error.status != 422:
                    raise
                refused.append(error.message)
        return refused

    async def _provide(self, values: Json, _: str) -> list[str]:
        data = [{"key": key, "value": value} for key, value in values.items()]
        store = {"kind": "SecretStore", "metadata": {"name": "store"}, "spec": {"provider": {"fake": {"data": data}}}}
        return await self._each([store], lambda one: self._admin.apply(one, "kubectl"))

    async def _restart(self, given: list[str], _: str) -> list[str]:
        self._flags = given
        await self._stage.stop()
        await self._stage.start(given)
        return []

    async def _terminate(self, namespace: str, _: str) -> list[str]:
        self._stage.terminating.add(namespace)
        return []

    async def _advance(self, duration: str, _: str) -> list[str]:
        await self._stage.advance(parse_duration(duration))
        return []
