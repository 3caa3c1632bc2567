"""What the code can say in a condition or an Event, found by reading the code: errors with their remedies, and reasons.

A text that is put together from parts has a word in capitals for a part whose name says what it is, and ``…`` for the
others. Errors whose whole text comes from elsewhere are left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "operator" / "keyferry"

KINDS = {
    "BadSpec": "wrong in the manifest",
    "BadValue": "value cannot be used",
    "Broken": "defect",
    "Busy": "too many calls",
    "ClusterUnavailable": "API server",
    "Denied": "not permitted",
    "NotReady": "waits",
    "NotThere": "missing",
    "PropertyNotThere": "part is missing",
    "Unreachable": "no answer",
}
"""Errors that people are told of, and the page's words for them. A Conflict, for one, is told to nobody."""

_TOLD_AS = {"ExecError": "BadValue", "FunctionError": "BadValue", "LimitError": "BadSpec", "ParseError": "BadSpec"}
"""Errors of the template engine, and what becomes of them in ``shape.render``."""

_ELSEWHERE = ("app/", "kubehttp/config.py")
"""What is told on the command line, or in the log when the process starts."""
_SECTIONS = (
    ("Stores and what they refer to", ("sync/stores.py", "api/", "ports.py", "kube/refs.py", "providers/__init__.py")),
    ("Templates", ("shape/gotmpl/",)),
    ("The Secret, its keys and values", ("sync/", "kube/plan.py", "kube/target.py", "shape/")),
    ("The cluster of Keyferry", ("kube/",)),
    ("Connections to stores", ("addresses.py", "fetch/", "jsonhttp.py", "kubehttp/", "transport.py")),
)
_WORDS = {
    "host": "SERVER",
    "key": "KEY",
    "kind": "KIND",
    "name": "NAME",
    "namespace": "NAMESPACE",
    "path": "PATH",
    "pattern": "PATTERN",
    "property": "PROPERTY",
    "server": "SERVER",
    "status": "STATUS",
    "target_name": "NAME",
    "version": "VERSION",
}
"""Names of variables that say what stands in their place."""
_PAGE = """
# Messages

Every error that a condition or an Event can tell, with its remedy, made from the code. `…` and words in capitals stand
for what differs. What stands before the text of an error says where it happened, see
[troubleshooting](troubleshooting.md). Texts that a store, the API server or a template's author gives are not listed.

The metric `keyferry_sync_errors_total` counts by kind, under the `reason` of this table.

| Kind | `reason` | What Keyferry does |
|---|---|---|
"""
_AGAIN = "tries again after 5 s, then after twice as long each time, up to the object's interval"
_NEXT = {
    "missing": "what `deletionPolicy` says. Without one the sync fails, and the Secret keeps its value",
    "part is missing": _AGAIN,
    "value cannot be used": _AGAIN,
    "wrong in the manifest": f"{_AGAIN}; at once when the object, its store or what they refer to is edited",
    "not permitted": f"{_AGAIN}; at once when the credential changes",
    "too many calls": "waits as long as the store asks for, and so do all who use the store",
    "no answer": f"{_AGAIN}; a store that does not answer three times in a row is given a rest",
    "waits": "nothing, until what it waits for changes",
    "API server": "tries again after 2 s, then after twice as long each time, up to a minute",
    "defect": "tries again after a minute at the earliest; the log has more. Please report it",
}


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """One error: its section on the page, its text and remedy with ``…`` for what differs, and the class's name."""

    section: str
    text: str
    remedy: str
    kind: str


@cache
def messages() -> tuple[Message, ...]:
    """All errors that have a text of their own, without twins."""
    return tuple(sorted(set(_found())))


@cache
def reasons() -> frozenset[str]:
    """The reasons of conditions and Events."""
    return frozenset(reason for path in sorted(SOURCES.rglob("*.py")) for reason in _reasons(ast.parse(_read(path))))


def page() -> str:
    """The reference of all messages."""
    parts = [_PAGE, *(f"| {kind} | `{_reason(kind)}` | {then} |\n" for kind, then in _NEXT.items())]
    order = [title for title, _ in _SECTIONS]
    by_section = {title: list(group) for title, group in groupby(messages(), key=lambda each: each.section)}
    for title in (*order, *sorted(set(by_section) - set(order))):
        parts.append(f"\n## {title}\n\n| Message | Remedy | Kind |\n|---|---|---|\n")
        parts += [
            f"| `{each.text}` | {_prose(each.remedy)} | {KINDS[each.kind]} |\n"
            for each in sorted(by_section[title], key=lambda each: each.text.lstrip('…."').lower())
        ]
    return "".join(parts)


def _reason(kind: str) -> str:
    """The kind as a label of metrics."""
    (name,) = [each for each, words in KINDS.items() if words == kind]
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def _found() -> Iterator[Message]:
    for path in sorted(SOURCES.rglob("*.py")):
        name = path.relative_to(SOURCES).as_posix()
        if name.startswith(_ELSEWHERE):
            continue
        for node in ast.walk(ast.parse(_read(path))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                kind = _TOLD_AS.get(node.func.id, node.func.id)
                if kind not in KINDS:
                    continue
                text = _text(node.args[0])
                if re.search(r"[a-z]{2}", text):
                    remedy = next((_text(each.value) for each in node.keywords if each.arg == "remedy"), "")
                    yield Message(_section(name), text, "" if remedy == "…" else remedy, kind)


def _section(name: str) -> str:
    provider = re.match(r"providers/([a-z]+)(/|\.py)", name)
    if provider:
        return f"Provider {provider[1]}"
    return next(title for title, places in _SECTIONS if name.startswith(places))


def _reasons(tree: ast.Module) -> Iterator[str]:
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        told = [each.value for each in node.keywords if each.arg in {"reason", "event"}]
        if isinstance(node.func, ast.Name) and node.func.id == "Note" and len(node.args) > 1:
            told.append(node.args[1])
        for each in told:
            value = each.value if isinstance(each, ast.Constant) else constants.get(getattr(each, "id", ""), "")
            if isinstance(value, str) and re.fullmatch(r"([A-Z][a-z]+)+", value):
                yield value


def _text(node: ast.expr) -> str:
    return re.sub(r"…+", "…", _raw(node))


def _raw(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_raw, node.values))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _raw(node.left) + _raw(node.right)
    if isinstance(node, ast.FormattedValue):
        return _raw(node.value)
    called = getattr(node, "attr", getattr(node, "id", ""))
    return _WORDS.get(called, "…")


def _prose(text: str) -> str:
    """Text for a cell of a table, where no character means anything to Markdown."""
    return re.sub(r"([*_`\[\]])", r"\\\1", text).replace("|", "&#124;").replace("<", "&lt;")


def _read(path: Path) -> str:
    return path.read_text("utf-8")
