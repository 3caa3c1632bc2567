"""What Argo CD makes of objects of external-secrets.io, by its rules in Lua.

The rules beside this file are our own words for what Argo CD's do: those of its releases 2.14 to 3.5 are all the same.
Where ``KEYFERRY_ARGOCD_RULES`` names the folder ``resource_customizations`` of Argo CD's repository, the rules found
there are run as well, and have to give the same answers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime

Json = Mapping[str, Any]

_OURS = Path(__file__).parent / "rules"
_THEIRS = "KEYFERRY_ARGOCD_RULES"


@dataclass(frozen=True)
class Health:
    """What Argo CD shows for an object."""

    status: str
    message: str


def health(body: Json) -> Health:
    """The health of an object as ``kubectl get -o json`` gives it."""
    if body["metadata"].get("deletionTimestamp"):
        # Before it asks any rule.
        return Health("Progressing", "Pending deletion")
    found = [_run(script, body) for script in _scripts(body["kind"], "health", "health.lua")]
    assert all(each == found[0] for each in found), f"the rules differ: {found}"
    return Health(found[0]["status"], found[0]["message"])


def may_refresh(body: Json) -> bool:
    """Whether people may press "refresh" on an ExternalSecret."""
    found = [_run(script, body) for script in _scripts(body["kind"], "discovery", "actions/discovery.lua")]
    assert all(each == found[0] for each in found), f"the rules differ: {found}"
    return not found[0]["refresh"]["disabled"]


def refreshed(body: Json) -> list[dict[str, str]]:
    """The annotations of an ExternalSecret after "refresh" was pressed, by each rule that there is.

    They are not compared here: each holds the second at which it was run.
    """
    scripts = _scripts(body["kind"], "refresh", "actions/refresh/action.lua")
    return [_run(script, body)["metadata"]["annotations"] for script in scripts]


def _scripts(kind: str, ours: str, theirs: str) -> Iterator[str]:
    yield (_OURS / f"{ours}.lua").read_text("utf-8")
    folder = os.environ.get(_THEIRS)
    if folder:
        yield (Path(folder) / "external-secrets.io" / kind / theirs).read_text("utf-8")


def _run(script: str, body: Json) -> dict[str, Any]:
    """What a rule returns for an object. Argo CD speaks Lua 5.1 and gives a rule its object as a global."""
    lua = LuaRuntime(register_eval=False, register_builtins=False, unpack_returned_tuples=True)
    lua.globals()["obj"] = lua.table_from(dict(body), recursive=True)
    told: dict[str, Any] = _plain(lua.execute(script))
    return told


def _plain(value: Any) -> Any:
    """A table of strings as a dict; numbered ones stay out of what is asked here."""
    if hasattr(value, "items"):
        return {str(key): _plain(each) for key, each in value.items()}
    return value
