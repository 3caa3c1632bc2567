"""Format strings: ``fmt.Sprintf``."""

from __future__ import annotations

import re
from collections.abc import Sequence

from keyferry.shape.gotmpl.fmt.printer import Printer
from keyferry.shape.gotmpl.fmt.spec import PLAIN, Spec
from keyferry.shape.gotmpl.run import Run
from keyferry.shape.gotmpl.values import Value, kind_of, type_of

_MAX = 1_000_000
"""The largest width and precision, and the largest index of an argument."""
_SHORTEST_INDEX = 3
_FLAGS = {"#": "sharp", "0": "zero", "+": "plus", "-": "minus", " ": "space"}
_BRACKET = re.compile(r"\[([^\]]*)\]")
_DIGITS = re.compile(r"[0-9]*")


def sprintf(run: Run, form: str, values: Sequence[Value]) -> str:
    """What ``fmt.Sprintf`` makes; mistakes in the format stand in the text, as Go has it.

    Raises ``FunctionError`` where Go would print addresses or private fields, and ``LimitError``.
    """
    return _Format(run, form, values).printed()


class _Format:
    def __init__(self, run: Run, form: str, values: Sequence[Value]) -> None:
        self._printer = Printer(run)
        self._form = form
        self._values = values
        self._at = 0
        self._next = 0
        """Index of the argument that the next verb takes."""
        self._indexed = False
        """Whether any explicit index was seen: superfluous arguments are no mistake then."""
        self._index_just_seen = False
        self._good_index = True

    def printed(self) -> str:
        form, printer = self._form, self._printer
        while True:
            percent = form.find("%", self._at)
            if percent < 0:
                printer.write(form[self._at :])
                break
            printer.write(form[self._at : percent])
            printer.run.spend()
            self._at = percent + 1
            if not self._verb():
                printer.write("%!(NOVERB)")
                break
        if not self._indexed and self._next < len(self._values):
            self._tell_extra()
        return printer.text()

    def _verb(self) -> bool:
        """One verb with all that belongs to it. False where the format ends before the verb."""
        self._good_index = True
        spec = self._printer.spec = Spec()
        while (flag := _FLAGS.get(self._form[self._at : self._at + 1])) is not None:
            setattr(spec, flag, True)
            self._at += 1
        self._index_just_seen = False
        self._index()
        self._width(spec)
        self._precision(spec)
        if not self._index_just_seen:
            self._index()
        if self._at >= len(self._form):
            return False
        verb = self._form[self._at]
        self._at += 1
        if "\ud800" <= verb <= "\udfff":
            verb = "\ufffd"
        if verb == "%":
            self._printer.write("%")
        elif not self._good_index:
            self._printer.write(f"%!{verb}(BADINDEX)")
        elif self._next >= len(self._values):
            self._printer.write(f"%!{verb}(MISSING)")
        else:
            if verb in "vw":
                spec.sharp_v, spec.sharp = spec.sharp, False
                spec.plus_v, spec.plus = spec.plus, False
            self._printer.argument(self._values[self._next], verb)
            self._next += 1
        return True

    def _index(self) -> None:
        """``[n]``: the argument that comes next, counted from 1."""
        if not self._form.startswith("[", self._at):
            self._index_just_seen = False
            return
        self._indexed = True
        found = _BRACKET.match(self._form, self._at)
        if found is None or len(self._form) - self._at < _SHORTEST_INDEX:
            self._good_index = self._index_just_seen = False
            self._at += 1
            return
        self._at = found.end()
        number = _number(found[1])
        self._index_just_seen = number is not None
        if number is not None and 1 <= number <= len(self._values):
            self._next = number - 1
        else:
            self._good_index = False

    def _width(self, spec: Spec) -> None:
        if self._form.startswith("*", self._at):
            self._at += 1
            spec.width = self._integer_argument()
            if spec.width is None:
                self._printer.write("%!(BADWIDTH)")
            elif spec.width < 0:
                spec.width, spec.minus, spec.zero = -spec.width, True, False
            self._index_just_seen = False
            return
        spec.width = self._digits()
        if self._index_just_seen and spec.width is not None:
            self._good_index = False

    def _precision(self, spec: Spec) -> None:
        if self._at + 1 >= len(self._form) or self._form[self._at] != ".":
            return
        self._at += 1
        if self._index_just_seen:
            self._good_index = False
        self._index()
        if self._form.startswith("*", self._at):
            self._at += 1
            spec.precision = self._integer_argument()
            if spec.precision is None or spec.precision < 0:
                spec.precision = None
                self._printer.write("%!(BADPREC)")
            self._index_just_seen = False
            return
        spec.precision = self._digits() or 0

    def _digits(self) -> int | None:
        found = _DIGITS.match(self._form, self._at)
        text = found[0] if found else ""
        if not text:
            return None
        number = _number(text)
        self._at = len(self._form) if number is None else self._at + len(text)
        return number

    def _integer_argument(self) -> int | None:
        """The argument that stands for ``*``; None where it is no integer, or too large."""
        if self._next >= len(self._values):
            return None
        value = self._values[self._next]
        self._next += 1
        if isinstance(value, int) and kind_of(value) != "bool" and -_MAX <= value <= _MAX:
            return int(value)
        return None

    def _tell_extra(self) -> None:
        printer = self._printer
        printer.spec = PLAIN
        printer.write("%!(EXTRA ")
        for place, each in enumerate(self._values[self._next :]):
            if place:
                printer.write(", ")
            if each is None:
                printer.write("<nil>")
            else:
                printer.write(f"{type_of(each)}=")
                printer.argument(each, "v")
        printer.write(")")


def _number(digits: str) -> int | None:
    """The number, as Go reads it: one digit beyond the maximum is overlooked. None where there is none."""
    if not digits or not digits.isascii() or not digits.isdigit() or int(digits[:-1] or "0") > _MAX:
        return None
    return int(digits)
