"""How Go prints values: package ``fmt``, and what text/template makes of it."""

from __future__ import annotations

from collections.abc import Sequence

from keyferry.shape.gotmpl.fmt.format import sprintf
from keyferry.shape.gotmpl.fmt.names import string_method
from keyferry.shape.gotmpl.fmt.printer import Printer, sorted_keys
from keyferry.shape.gotmpl.fmt.quoting import quote
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import Value

__all__ = ["print_value", "quote", "sorted_keys", "sprint", "sprintf", "sprintln", "string_method"]


def print_value(run: Run, value: Value) -> str:
    """What an action such as ``{{ .x }}`` writes.

    Raises ``LimitError`` where the value is nested too deep, which a map that holds itself is too.
    """
    plain = _plain(value)
    if plain is not None:
        return plain
    if value is None:
        return "<no value>"
    return _printed(run, value)


def sprint(run: Run, values: Sequence[Value]) -> str:
    """``fmt.Sprint``: a blank between two operands of which neither is a string. Raises ``LimitError``."""
    if len(values) == 1 and (plain := _plain(values[0])) is not None:
        return plain
    out: list[str] = []
    after_string = True
    for value in values:
        is_string = isinstance(value, str)
        if not (after_string or is_string):
            out.append(" ")
        out.append(_printed(run, value))
        after_string = is_string
    return "".join(out)


def sprintln(run: Run, values: Sequence[Value]) -> str:
    """``fmt.Sprintln``: a blank between operands, and a line break at the end. Raises ``LimitError``."""
    return " ".join(_printed(run, value) for value in values) + "\n"


def _plain(value: Value) -> str | None:
    kind = type(value)
    if kind is str:
        return str(value)
    return int.__repr__(value) if kind is int else None


def _printed(run: Run, value: Value) -> str:
    printer = Printer(run)
    printer.argument(value, "v")
    return printer.text()
