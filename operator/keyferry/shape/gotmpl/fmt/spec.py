"""One verb's flags, width and precision."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keyferry.shape.gotmpl.run import Run


@dataclass(slots=True)
class Spec:
    """What stands between ``%`` and the verb. ``width`` and ``precision`` are in characters; None where not given.

    ``sharp_v`` and ``plus_v`` stand for ``%#v`` and ``%+v``, which are verbs of their own.
    """

    width: int | None = None
    precision: int | None = None
    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    plus_v: bool = False
    sharp_v: bool = False

    def without_zero(self) -> Spec:
        """The same, padding with blanks."""
        return replace(self, zero=False) if self.zero else self

    def cut(self, text: str) -> str:
        """As many characters as the precision allows."""
        return text if self.precision is None else text[: self.precision]

    def pad(self, run: Run, text: str) -> str:
        """The text at the width. Go fills with zeros on the left whatever is printed, be it a string."""
        missing = (self.width or 0) - len(text)
        if missing <= 0:
            return text
        run.make(missing)
        if self.minus:
            return text + " " * missing
        return ("0" if self.zero else " ") * missing + text


PLAIN = Spec()
"""Nothing but the verb. Shared, so never to be changed."""
