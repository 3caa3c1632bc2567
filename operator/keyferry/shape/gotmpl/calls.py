"""Calls of functions: how many arguments, and what becomes of results and errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keyferry.shape.gotmpl.arguments import Parameter
from keyferry.shape.gotmpl.errors import ExecError, FunctionError, TemplateError
from keyferry.shape.gotmpl.registry import Function
from keyferry.shape.gotmpl.source import Source
from keyferry.shape.gotmpl.state import NIL, Held, State
from keyferry.shape.gotmpl.values import Value, canonical

_POINTER = 8
_SHORT = 64
"""Characters of an argument that cost nothing."""
_BY_CHARACTER = frozenset(
    {"camelcase", "date", "dateInZone", "date_in_zone", "html", "initials", "js", "kebabcase", "quote", "semverCompare"}
    | {"snakecase", "swapcase", "title", "untitle", "int64", "float64", "int", "toDecimal", "urlquery"}
)
"""Functions that look at each character for about a microsecond; others take sixteen in that time."""
_DOCUMENTS = frozenset({"fromJson", "mustFromJson", "fromYaml"})


@dataclass(frozen=True, slots=True)
class Callee:
    """A function where it is called. ``literal``: every argument stands in the template, so errors may show them."""

    source: Source
    at: int
    function: Function
    literal: bool

    def parameter(self, index: int, *, piped: bool = False) -> Parameter:
        """Where the argument of that index goes; the count has been checked."""
        function = self.function
        fixed = function.params
        go_type = fixed[index] if index < len(fixed) else function.rest
        if go_type is None:
            raise IndexError(index)
        return Parameter(function.name, 0 if piped else index + 1, go_type)


def wrong_count(function: Function, given: int, *, piped: bool) -> str:
    """What is wrong with the number of arguments, or nothing."""
    count, want = given + piped, len(function.params)
    if count == want or (count > want and function.rest is not None):
        return ""
    least = "at least " if function.rest is not None else ""
    wanted = ", ".join(str(each) for each in function.params)
    takes = f"{least}{want} argument{'' if want == 1 else 's'}" + (f" ({wanted})" if want else "")
    return f"{function.name} takes {takes}, and has {count or 'none'}"


def invoke(state: State, callee: Callee, args: Sequence[Held]) -> Held:
    """Call the function; its arguments have been checked. Raises ``ExecError``."""
    function = callee.function
    run = state.run
    try:
        run.spend(_price(function.name, args))
        result: Value = function.call(run, *args) if function.wants_run else function.call(*args)
        if isinstance(result, str):
            run.make(len(result))
            return canonical(result)
        if isinstance(result, list | dict | bytes):
            if not any(result is each for each in args):
                run.make(_POINTER * len(result))
            if function.name in _DOCUMENTS:
                state.documents.append(result)
    except FunctionError as error:
        # Go's words for a panic of its own help nobody.
        says_more = callee.literal and not error.detail.startswith("runtime error:")
        message = error.detail if says_more else error.message
        detail = f"error calling {function.name}: {error.detail}"
        raise callee.source.error(ExecError, callee.at, f"{function.name}: {message}", detail=detail) from None
    except TemplateError as error:
        raise callee.source.place(error, callee.at) from None
    except Exception as error:  # noqa: BLE001  # a defect of a function must not show the values that it worked on
        message = f"{function.name} fails ({type(error).__name__})"
        raise callee.source.error(ExecError, callee.at, message) from None
    return NIL if result is None else result


def _price(name: str, args: Sequence[Held]) -> int:
    """Steps that a call takes, by the length of its texts."""
    length = sum([len(each) for each in args if isinstance(each, str) and len(each) > _SHORT])
    return 1 + (length if name in _BY_CHARACTER else length >> 4)
