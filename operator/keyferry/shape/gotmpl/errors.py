"""What can go wrong with a template.

Go's own text of an error may hold values. ``str()`` of the errors here never does: it is for conditions and logs.
``detail`` is Go's text where it says more, for somebody who renders on their own machine.
"""

from __future__ import annotations


class TemplateError(Exception):
    """A template that cannot be parsed or executed. ``line`` and ``column`` count from 1; a column counts characters.

    ``remedy`` is a sentence without a final stop, or empty.
    """

    def __init__(
        self, message: str, *, line: int = 0, column: int = 0, context: str = "", remedy: str = "", detail: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.context = context
        """The piece of the template's source that failed; it is from the manifest, so it holds no value."""
        self.remedy = remedy
        self.detail = detail or message

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else ""
        if self.line and self.column:
            place += f", column {self.column}"
        told = f"{place}: {self.message}" if place else self.message
        return f"{told}: {self.remedy}" if self.remedy else told


class ParseError(TemplateError):
    """The template's text is wrong."""


class ExecError(TemplateError):
    """The template cannot be executed over these values."""


class LimitError(ExecError):
    """The template took more steps, depth, output, memory or time than it may."""


class FunctionError(Exception):
    """Raised by functions; the engine adds the place.

    ``message`` holds no value. ``detail`` is what Go says, which may hold one: it is told where every argument of the
    call stands in the template as a literal, and to somebody who renders on their own machine.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail or message
