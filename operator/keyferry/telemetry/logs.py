"""The log: one JSON object per line on standard error, in zap's keys, so that pipelines built for ESO keep working.

``level``, ``ts``, ``logger`` and ``msg`` are in every line, ``error`` and ``stacktrace`` where something failed, and
the fields of the call beside them. Records of libraries take the same way; a library's record is trusted less, since
its message may quote what it worked on: its arguments are made safe before they are put into the text, and below
WARNING it is not shown at all, whatever the level (SDKs write whole responses at DEBUG).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog

from keyferry.telemetry import safe

_FIELDS = "keyferry_fields"
_OWN = "keyferry"
_RESERVED = frozenset({"level", "ts", "logger", "msg", "error", "stacktrace"})
_ZAP_LEVELS = {"WARNING": "warn", "CRITICAL": "fatal"}

# kopf says at ERROR that it will try a request again, and tells the end of a watch twice; app.kopfrun tells it once.
_MUTED = (
    "kopf._cogs.clients.api",
    "kopf._core.reactor.orchestration",
    "kopf._core.reactor.running",
    "aiohttp.access",
)

_TIMES: Mapping[str, Callable[[float], object]] = {
    "epoch": lambda at: at,
    "millis": lambda at: round(at * 1e3, 3),
    "nano": lambda at: round(at * 1e6) * 1000,
    "iso8601": lambda at: _utc(at).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    "rfc3339": lambda at: _utc(at).isoformat(timespec="seconds").replace("+00:00", "Z"),
    "rfc3339nano": lambda at: _utc(at).isoformat(timespec="microseconds").replace("+00:00", "Z"),
}


def _utc(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


class JsonFormatter(logging.Formatter):
    """One JSON object per record, with everything in it made safe."""

    def __init__(self, time_encoding: str) -> None:
        super().__init__()
        self._time = _TIMES[time_encoding]

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "level": _ZAP_LEVELS.get(record.levelname, record.levelname.lower()),
            "ts": self._time(record.created),
            "logger": record.name,
            "msg": _message(record),
        }
        fields: Mapping[str, object] = getattr(record, _FIELDS, {})
        if "error" in fields:
            entry["error"] = safe.value(fields["error"])
        for name, content in (*fields.items(), *_object_of_kopf(record)):
            # A field that is called like one of ours keeps its content under another name.
            if name != "error":
                entry[f"{name}_" if name in _RESERVED else name] = safe.field(name, content)
        failure = record.exc_info[1] if record.exc_info else None
        if failure is not None:
            entry.setdefault("error", safe.error(failure))
            entry["stacktrace"] = safe.stack(failure)
        return orjson.dumps(entry, option=orjson.OPT_NON_STR_KEYS, default=lambda _: safe.REDACTED).decode()


def _message(record: logging.LogRecord) -> str:
    text = _filled_in(record)
    failure = record.exc_info[1] if record.exc_info else None
    # Libraries like to repeat the exception in the message: f"... has failed: {e}".
    said = str(failure) if failure is not None else ""
    return text.replace(said, safe.error(failure)) if failure is not None and said else text


def _filled_in(record: logging.LogRecord) -> str:
    if not record.args:
        return str(safe.value(record.msg))
    args: Any = safe.value(record.args)
    try:
        return str(record.msg) % (args if isinstance(args, dict) else tuple(args))
    except (TypeError, ValueError, KeyError):
        # Made safe, an argument may no longer fit %d; the bare text still says what happened.
        return str(record.msg)


def _object_of_kopf(record: logging.LogRecord) -> tuple[tuple[str, object], ...]:
    ref = getattr(record, "k8s_ref", None)
    if not isinstance(ref, Mapping):
        return ()
    return tuple((name, ref[name]) for name in ("kind", "namespace", "name") if ref.get(name))


class _Foreign(logging.Filter):
    """Lets our own records pass, and those of others from WARNING on."""

    def filter(self, record: logging.LogRecord) -> bool:
        return (
            record.levelno >= logging.WARNING or record.name == _OWN or record.name.startswith((f"{_OWN}.", "__main__"))
        )


def configure_logging(*, level: str = "info", time_encoding: str = "epoch", stream: TextIO | None = None) -> None:
    """Send every record of the process to ``stream`` (standard error) in our form.

    ``level`` is one of Python's, in lower case; ``time_encoding`` one of zap's (``keyferry.settings.Log``).

    Also takes over what Python would print by itself with a message or a value in it: uncaught exceptions of the main
    thread, of other threads and of finalizers, and warnings. Called once, by the command line.
    """
    least = getattr(logging, level.upper())
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(time_encoding))
    handler.addFilter(_Foreign())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(max(least, logging.WARNING))
    logging.getLogger(_OWN).setLevel(least)
    # Failures of the log itself must not print the record that failed.
    logging.raiseExceptions = False
    for name in _MUTED:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.captureWarnings(capture=True)
    sys.excepthook = _excepthook
    threading.excepthook = lambda args: log_uncaught("uncaught exception in a thread", args.exc_value)
    sys.unraisablehook = lambda args: log_uncaught("exception that could not be raised", args.exc_value)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, _hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger: ``log.info("what happened", namespace=..., name=...)``; ``error=exc`` for an expected failure.

    ``log.exception("...")`` adds the traceback, without source lines, locals or the messages of foreign errors.
    ``name`` is the module's ``__name__``.
    """
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(name)
    return logger


def log_uncaught(what: str, failure: BaseException | None) -> None:
    """Log an exception that nobody caught."""
    logging.getLogger(_OWN).error(what, exc_info=failure or False)


def guard_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Make the loop report lost exceptions our way; asyncio's own report prints the repr of tasks and their results."""
    loop.set_exception_handler(
        lambda _, context: log_uncaught(
            str(context.get("message", "error in the event loop")), context.get("exception")
        )
    )


def _excepthook(_kind: type[BaseException], failure: BaseException, _trace: TracebackType | None) -> None:
    if not isinstance(failure, KeyboardInterrupt):
        log_uncaught("uncaught exception", failure)


def _hand_over(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> tuple[tuple[str], Mapping[str, Any]]:
    message = str(event.pop("event", ""))
    exc_info = event.pop("exc_info", None)
    return (message,), {"extra": {_FIELDS: dict(event)}, "exc_info": exc_info}
