from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from keyferry.errors import Denied
from keyferry.telemetry import configure_logging, get_logger, guard_loop, safe
from keyferry.telemetry.logs import _MUTED

CANARY = "c4n4ry-hunter2"


class Capture:
    def __init__(self) -> None:
        self.stream = io.StringIO()

    def use(self, level: str = "info", time_encoding: str = "epoch") -> None:
        configure_logging(level=level, time_encoding=time_encoding, stream=self.stream)

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


@pytest.fixture
def log() -> Iterator[Capture]:
    root, own = logging.getLogger(), logging.getLogger("keyferry")
    kept = (root.handlers[:], root.level, own.level, logging.raiseExceptions)
    levels = {name: logging.getLogger(name).level for name in _MUTED}
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    capture = Capture()
    capture.use()
    yield capture
    root.handlers[:] = kept[0]
    root.setLevel(kept[1])
    own.setLevel(kept[2])
    logging.raiseExceptions = kept[3]
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def fail_with(message: str) -> None:
    hidden = f"{CANARY}-local"
    raise ValueError(message + hidden[:0])


def test_a_line_has_the_keys_of_zap(log: Capture) -> None:
    get_logger("keyferry.app.x").warning("what happened", namespace="ns", name="n", count=3)
    entry = log.last
    assert {key: entry[key] for key in ("level", "logger", "msg", "namespace", "name", "count")} == {
        "level": "warn",
        "logger": "keyferry.app.x",
        "msg": "what happened",
        "namespace": "ns",
        "name": "n",
        "count": 3,
    }
    assert abs(entry["ts"] - time.time()) < 60


def test_a_field_never_overwrites_what_every_line_has(log: Capture) -> None:
    get_logger("keyferry").info("said", level="mine", msg="mine too")
    assert (log.last["level"], log.last["msg"], log.last["level_"]) == ("info", "said", "mine")


@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        ("epoch", r"\d{10}\.\d+"),
        ("millis", r"\d{13}\.?\d*"),
        ("nano", r"\d{19}"),
        ("iso8601", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"),
        ("rfc3339", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        ("rfc3339nano", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"),
    ],
)
def test_times_are_written_as_asked(log: Capture, encoding: str, form: str) -> None:
    log.use(time_encoding=encoding)
    get_logger("keyferry").info("x")
    assert re.fullmatch(form, str(log.last["ts"]))


def test_the_level_holds_for_our_own_loggers(log: Capture) -> None:
    for level, told in (("debug", 3), ("info", 2), ("error", 1)):
        log.use(level=level)
        before = len(log.lines)
        get_logger("keyferry.a").debug("d")
        logging.getLogger("keyferry.b").info("i")
        get_logger("keyferry.a").error("e")
        assert len(log.lines) - before == told


def test_libraries_are_not_heard_below_warning_even_at_debug(log: Capture) -> None:
    log.use(level="debug")
    sdk = logging.getLogger("botocore.parsers")
    sdk.setLevel(logging.DEBUG)
    sdk.debug("Response body: %s", CANARY)
    sdk.warning("clock skew")
    assert [line["msg"] for line in log.lines] == ["clock skew"]


@pytest.mark.parametrize(
    "field",
    ["value", "data", "token", "password", "authorization", "client_secret", "stringData", "secretString", "new_value"],
)
def test_a_field_with_a_dangerous_name_is_redacted(log: Capture, field: str) -> None:
    get_logger("keyferry").info("x", **{field: CANARY}, nested={field: CANARY, "deep": [{field: CANARY}]})
    assert CANARY not in log.text
    assert log.last[field] == safe.REDACTED


@pytest.mark.parametrize("name", ["name", "secret", "key", "store", "entry", "token_url_host"])
def test_a_field_that_names_something_is_shown(log: Capture, name: str) -> None:
    get_logger("keyferry").info("x", **{name: "shown"})
    assert "shown" in log.text


def test_bytes_and_foreign_objects_are_never_shown(log: Capture) -> None:
    class Foreign:
        def __repr__(self) -> str:
            return CANARY

        __str__ = __repr__

    nested = {"a": [CANARY.encode(), Foreign()]}
    get_logger("keyferry").info(
        "x", a=CANARY.encode(), b=Foreign(), c=nested, d={Foreign(): 1}, e=memoryview(b"c4n4ry")
    )
    assert "c4n4ry" not in log.text
    assert log.last["a"] == safe.REDACTED
    assert log.last["b"] == "<Foreign>"


def test_an_exception_of_ours_is_told_in_full_and_a_foreign_one_by_its_type(log: Capture) -> None:
    get_logger("keyferry").warning("x", error=Denied("the store refuses", remedy="ask"))
    assert log.last["error"] == "Denied: the store refuses: ask"
    get_logger("keyferry").warning("x", error=ValueError(CANARY), cause=KeyError(CANARY))
    assert log.last["error"] == "ValueError"
    assert CANARY not in log.text


def test_an_error_of_the_operating_system_is_told_in_its_words() -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Path("/no/such/file").read_bytes()
    assert safe.error(caught.value) == "FileNotFoundError: [Errno 2] No such file or directory: /no/such/file"
    assert safe.error(OSError(CANARY)) == "OSError"


def test_a_traceback_has_frames_and_types_but_no_message_source_or_local(log: Capture) -> None:
    try:
        try:
            fail_with(CANARY)
        except ValueError as inner:
            raise RuntimeError(CANARY) from inner
    except RuntimeError:
        get_logger("keyferry").exception("it failed")
    assert CANARY not in log.text
    trace = log.last["stacktrace"]
    assert trace.startswith("RuntimeError\n")
    assert "caused by: ValueError" in trace
    assert re.search(r"unit/test_logs\.py:\d+ fail_with", trace)
    assert "hidden" not in trace


def test_the_members_of_an_exception_group_are_told(log: Capture) -> None:
    try:
        raise ExceptionGroup(CANARY, [ValueError(CANARY), Denied("no")])
    except ExceptionGroup:
        get_logger("keyferry").exception("it failed")
    assert CANARY not in log.text
    assert "one of the group: Denied: no" in log.last["stacktrace"]


def test_a_library_that_repeats_its_exception_in_the_message_does_not_leak_it(log: Capture) -> None:
    try:
        fail_with(CANARY)
    except ValueError as failure:
        logging.getLogger("kopf.x").exception(f"Watcher has failed: {failure}")  # noqa: G004, TRY401 - as kopf does it
    assert log.last["msg"] == "Watcher has failed: ValueError"
    assert CANARY not in log.text


def test_arguments_of_a_library_s_message_are_made_safe(log: Capture) -> None:
    foreign = logging.getLogger("lib")
    foreign.warning("got %s and %s", CANARY.encode(), ValueError(CANARY))
    assert log.last["msg"] == f"got {safe.REDACTED} and ValueError"
    foreign.warning("count %d", CANARY.encode())
    assert log.last["msg"] == "count %d"
    foreign.warning("by name %(value)s", {"value": CANARY})
    assert CANARY not in log.text


def test_an_object_of_kopf_is_named(log: Capture) -> None:
    ref = {"apiVersion": "v1", "kind": "Widget", "namespace": "ns", "name": "n", "uid": "u"}
    logging.getLogger("kopf.objects").warning("x", extra={"k8s_ref": ref})
    assert (log.last["kind"], log.last["namespace"], log.last["name"]) == ("Widget", "ns", "n")
    assert "uid" not in log.last


async def test_a_lost_exception_of_a_task_does_not_show_its_message(log: Capture) -> None:
    loop = asyncio.get_running_loop()
    guard_loop(loop)

    async def lost() -> None:
        fail_with(CANARY)

    task = asyncio.create_task(lost())
    await asyncio.wait({task})
    del task
    loop.call_exception_handler({"message": "lost", "exception": ValueError(CANARY), "task": CANARY})
    assert "lost" in log.text
    assert "ValueError" in log.text
    assert CANARY not in log.text


def test_uncaught_exceptions_go_to_the_log_without_their_messages(
    log: Capture, capfd: pytest.CaptureFixture[str]
) -> None:
    thread = threading.Thread(target=fail_with, args=(CANARY,))
    thread.start()
    thread.join()
    failure = RuntimeError(CANARY)
    sys.excepthook(RuntimeError, failure, None)
    assert [line["msg"] for line in log.lines] == ["uncaught exception in a thread", "uncaught exception"]
    assert CANARY not in log.text + "".join(capfd.readouterr())
