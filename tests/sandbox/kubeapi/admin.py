"""The sandbox's own HTTP door, below /sandbox/: the same levers as in Python, for other processes.

Admins only. This is the one place that shows values of Secrets, to tests that prove them kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from .calls import Call, Reply
from .faults import Match
from .status import ApiError, Json, no_such_path

if TYPE_CHECKING:
    from .server import KubeApi


def _match(body: Json) -> Match:
    known = {k: v for k, v in (body.get("match") or {}).items() if k in Match.__slots__}
    return Match(**known)


async def answer(api: KubeApi, call: Call) -> Reply:
    if "system:masters" not in call.user.groups:
        raise ApiError(403, "Forbidden", "the sandbox's levers are for admins")
    parts = call.path.strip("/").split("/")[1:]
    body: Json = orjson.loads(call.body) if call.body.strip() else {}
    if parts == ["requests"]:
        if call.method == "DELETE":
            api.requests.clear()
            return Reply(200, {})
        wanted: dict[str, Any] = dict(call.query)
        if "code" in wanted:
            wanted["code"] = int(wanted["code"])
        found = api.requests.matching(**wanted)
        return Reply(200, {"count": len(found), "items": [r.as_json() for r in found]})
    if parts == ["info"]:
        return Reply(
            200,
            {
                "url": api.url,
                "revision": api.store.revision,
                "objects": {".".join(reversed(k)).strip("."): len(t) for k, t in api.store.tables.items()},
                "watchers": sum(len(t.feeds) for t in api.store.tables.values()),
                "errors": [repr(type(e)) for e in api.errors],
            },
        )
    if len(parts) == 4 and parts[0] == "secrets" and parts[3] == "versions":
        past = api.secret_versions(parts[1], parts[2])
        return Reply(
            200, {"items": [{"resourceVersion": str(rv), "type": kind, "object": obj} for rv, kind, obj in past]}
        )
    if len(parts) == 2 and parts[0] == "faults" and call.method == "POST":
        return Reply(200, await _fault(api, parts[1], body))
    raise no_such_path()


async def _fault(api: KubeApi, name: str, body: Json) -> Json:
    faults, match = api.faults, _match(body)
    if name == "fail":
        faults.fail(int(body["code"]), int(body.get("count", 1)), match, body.get("retryAfter"))
    elif name == "slow":
        faults.slow(float(body["seconds"]), match)
    elif name == "hang-watches":
        faults.hang_watches(match)
    elif name == "expire-watches":
        faults.expire_watches()
    elif name == "drop-connections":
        # Not this request's own: its answer must arrive.
        api.later(faults.drop_connections)
    elif name == "restart":
        api.restart_later(float(body.get("seconds", 0)))
    elif name == "clear":
        faults.clear()
    else:
        raise no_such_path()
    return {}
