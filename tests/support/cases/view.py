"""What is seen of an object, in the words of ``out.yaml``, and how it is compared."""

from __future__ import annotations

import base64
import difflib
from typing import Any

import yaml

from tests.support.cases.script import Contains, Json


def secret(body: Json) -> Json:
    """``managers`` are the field managers, ``owners`` read "Kind name", with "(controller)" where it is one."""
    metadata = body["metadata"]
    return {
        "data": {key: _text(value) for key, value in sorted((body.get("data") or {}).items())},
        "type": body["type"],
        "immutable": bool(body.get("immutable")),
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
        "owners": [_owner(each) for each in metadata.get("ownerReferences") or ()],
        "finalizers": metadata.get("finalizers") or [],
        "managers": sorted({entry["manager"] for entry in metadata.get("managedFields") or ()}),
    }


def custom(body: Json) -> Json:
    """``ready``, ``reason``, ``message`` and ``since`` are the condition Ready's; the rest is the status as it is."""
    status = body.get("status") or {}
    ready: Json = next((each for each in status.get("conditions") or () if each["type"] == "Ready"), {})
    return {
        **{name: value for name, value in status.items() if name != "conditions"},
        "ready": {"True": True, "False": False}.get(ready.get("status", "")),
        "reason": ready.get("reason"),
        "message": ready.get("message"),
        "since": ready.get("lastTransitionTime"),
        "conditions": [each["type"] for each in status.get("conditions") or ()],
        "finalizers": body["metadata"].get("finalizers") or [],
        "annotations": body["metadata"].get("annotations") or {},
    }


def event(body: Json) -> str:
    """Type, reason, name of the object, text."""
    return f"{body['type']} {body['reason']} {body['involvedObject']['name']}: {body['message']}"


def difference(expected: Any, observed: Any) -> str:
    """What of ``observed`` is not as expected, as a unified diff; "" where all is."""
    seen = _of_interest(expected, observed)
    lines = difflib.unified_diff(
        _dump(expected), _dump(seen), fromfile="expected", tofile="observed", lineterm="", n=100
    )
    return "\n".join(lines)


def _of_interest(expected: Any, observed: Any) -> Any:
    """The parts of ``observed`` that ``expected`` speaks of."""
    match expected:
        case Contains():
            return expected if expected.matches(observed) else observed
        case dict() if isinstance(observed, dict):
            return {
                name: observed.get(name) if name == "data" else _of_interest(part, observed.get(name))
                for name, part in expected.items()
            }
        case list() if isinstance(observed, list) and len(observed) == len(expected):
            return [_of_interest(part, each) for part, each in zip(expected, observed, strict=True)]
    return observed


def _dump(value: Any) -> list[str]:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=True, width=1000, allow_unicode=True).splitlines()


class _Dumper(yaml.SafeDumper):
    """Knows the tags of ``out.yaml``."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(Contains, lambda dumper, value: dumper.represent_scalar("!contains", value.text))


def _text(value: str) -> str:
    raw = base64.b64decode(value)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return f"base64 {value}"


def _owner(reference: Json) -> str:
    return f"{reference['kind']} {reference['name']}{' (controller)' if reference.get('controller') else ''}"
