"""Templates, compiled once and rendered many times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from keyferry.shape.gotmpl.access import MISSING
from keyferry.shape.gotmpl.compile import compile_body, run_body
from keyferry.shape.gotmpl.errors import ExecError, LimitError, ParseError, TemplateError
from keyferry.shape.gotmpl.evaluate import SHORT_CIRCUIT
from keyferry.shape.gotmpl.functions import FUNCTIONS
from keyferry.shape.gotmpl.parse import parse
from keyferry.shape.gotmpl.registry import Function
from keyferry.shape.gotmpl.run import Limits, Run, World
from keyferry.shape.gotmpl.source import Source
from keyferry.shape.gotmpl.state import Body, State
from keyferry.shape.gotmpl.values import Value, to_bytes


@dataclass(frozen=True, slots=True)
class Rendered:
    """``unrepeatable`` names the functions that asked for time or chance: rendering again gives something else."""

    text: bytes = field(repr=False)
    unrepeatable: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """Never changes once parsed: threads may share it."""

    _source: Source
    _body: Body
    _bodies: Mapping[str, Body]

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        left: str = "{{",
        right: str = "}}",
        missing: str = "error",
        functions: Mapping[str, Function] = FUNCTIONS,
    ) -> Self:
        """A template from its text.

        ``missing`` is text/template's option missingkey: ``error``, ``default`` (or ``invalid``), or ``zero``. An
        empty delimiter stands for the usual one. Raises ``ParseError``.
        """
        if missing not in MISSING:
            raise ValueError(f"missing is one of {', '.join(MISSING)}")
        source = Source(text, left, right)
        try:
            to_bytes(text)
            body, definitions = parse(source, {*functions, *SHORT_CIRCUIT})
            compiled = {name: compile_body(source, functions, missing, each.body) for name, each in definitions.items()}
            return cls(source, compile_body(source, functions, missing, body), compiled)
        except TemplateError:
            raise
        except UnicodeEncodeError as error:
            raise source.error(ParseError, error.start, "no text: half of a surrogate pair") from None
        except (RecursionError, MemoryError) as error:
            raise ParseError(f"the template is too large or nested too deep ({type(error).__name__})") from None

    def render(self, data: Value, world: World, limits: Limits = Limits()) -> Rendered:  # noqa: B008  # immutable
        """Execute over ``data``. Raises ``ExecError``, or ``LimitError`` where it goes beyond the limits."""
        run = Run(world, limits)
        state = State(run, data, self._bodies)
        error: TemplateError
        try:
            run_body(state, self._body, data)
            return Rendered(b"".join(state.out), frozenset(run.unrepeatable))
        except TemplateError as told:
            error = told
        except RecursionError:
            error = LimitError("blocks, parentheses and templates are nested too deep within each other")
        except Exception as failure:  # noqa: BLE001  # a defect must not show the values that were worked on
            error = ExecError(f"the template fails ({type(failure).__name__})")
        raise self._source.place(error, state.at)
