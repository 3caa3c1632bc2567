"""What may be said about any value or exception, without showing a secret.

Everything that reaches the log passes through ``value`` and ``error``. Allowed are plain scalars under harmless names
and our own types, whose texts are made for people. Everything else is named by its type.
"""

from __future__ import annotations

import enum
import re
import traceback
from collections.abc import Iterator, Mapping
from datetime import date
from types import TracebackType

REDACTED = "[redacted]"

_DANGEROUS = re.compile(
    r"(^|[_.-])(password|passwd|passphrase|tokens?|authorization|cookie|credentials?|private_?key|access_?key|secret_?key"
    r"|client_?secret|secret_?id|secret_?string|api_?key|values?|data|string_?data|binary_?data|document|body|payload"
    r"|content|headers?)$",
    re.IGNORECASE,
)
_OWN = "keyferry."
_DEPTH = 4
_ITEMS = 100
_CHAIN = 5


def field(name: str, content: object) -> object:
    """The content of a log field, redacted whole where the field's name says that it holds a value."""
    return REDACTED if _DANGEROUS.search(name) and content is not None else value(content)


def value(content: object, depth: int = _DEPTH) -> object:
    """``content`` as plain JSON types; bytes are redacted and foreign objects are named by their type."""
    match content:
        case enum.Enum():
            return value(content.value, depth)
        case None | bool() | int() | float() | str():
            # A subclass of str may be a redacting one; str() asks it what it wants to show.
            return str(content) if isinstance(content, str) else content
        case bytes() | bytearray() | memoryview():
            return REDACTED
        case BaseException():
            return error(content)
        case date():
            return content.isoformat()
        case _ if depth == 0:
            return f"<{type(content).__name__}>"
        case Mapping():
            pairs = list(content.items())[:_ITEMS]
            return {
                str(value(k, 0)): REDACTED if _DANGEROUS.search(str(value(k, 0))) else value(v, depth - 1)
                for k, v in pairs
            }
        case list() | tuple() | set() | frozenset():
            return [value(item, depth - 1) for item in list(content)[:_ITEMS]]
        case _ if _ours(type(content)):
            return str(content)
        case _:
            return f"<{type(content).__name__}>"


def error(failure: BaseException) -> str:
    """The type of an exception, with its message only where the message is known to be harmless.

    Harmless are our own exceptions, and what the operating system says about an ``OSError`` with an ``errno``. The
    message of a library may quote what it failed on.
    """
    kind = type(failure)
    if _ours(kind):
        return f"{kind.__name__}: {failure}"
    if isinstance(failure, OSError) and type(failure.errno) is int and type(failure.strerror) is str:
        place = f": {failure.filename}" if kind.__module__ == "builtins" and isinstance(failure.filename, str) else ""
        return f"{kind.__name__}: [Errno {failure.errno}] {failure.strerror}{place}"
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def frames(trace: TracebackType | None) -> Iterator[str]:
    """``file:line function`` per frame, outermost first. Source lines and locals stay where they are."""
    for frame, line in traceback.walk_tb(trace):
        code = frame.f_code
        yield f"{short(code.co_filename)}:{line} {code.co_qualname}"


def short(path: str) -> str:
    """A source path without the part that depends on the installation."""
    for root in ("site-packages/", "/operator/"):
        if root in path:
            return path.rsplit(root, 1)[1]
    return "/".join(path.rsplit("/", 2)[-2:])


def stack(failure: BaseException) -> str:
    """The exception and those that it came from, each with its frames, one line per frame; innermost cause last."""
    lines: list[str] = []
    seen: set[int] = set()
    waiting: list[tuple[str, BaseException]] = [("", failure)]
    while waiting and len(seen) < _CHAIN:
        relation, current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        lines.append(relation + error(current))
        lines.extend("  " + frame for frame in frames(current.__traceback__))
        if isinstance(current, BaseExceptionGroup):
            waiting.extend(("one of the group: ", inner) for inner in current.exceptions)
        if current.__cause__ is not None:
            waiting.append(("caused by: ", current.__cause__))
        elif current.__context__ is not None and not current.__suppress_context__:
            waiting.append(("while handling: ", current.__context__))
    return "\n".join(lines)


def _ours(kind: type) -> bool:
    return kind.__module__.startswith(_OWN) or kind.__module__ == _OWN[:-1]
