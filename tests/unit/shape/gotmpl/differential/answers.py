"""What becomes of a template: here, and in Helm's engine."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import Any, Final, Literal

from keyferry.shape.gotmpl import LimitError, ParseError, Template, TemplateError, World
from keyferry.shape.gotmpl.values import Value, string_map
from tests.unit.shape.gotmpl.differential.helm import Helm

_NO_PARSE: Final = "error calling tpl: cannot parse template"


@dataclass(frozen=True, slots=True)
class Answer:
    """``end``: a text, an error of the parser, one at run time, or ``limit``: beyond bounds that Go does not have."""

    end: Literal["text", "parse", "exec", "limit"]
    text: bytes = b""
    error: str = ""

    def agrees(self, other: Answer) -> bool:
        """The same text, or an error at the same stage."""
        return (self.end, self.text) == (other.end, other.text)

    def __str__(self) -> str:
        return f"{self.end}: {self.error or self.text!r}"


def document(value: Any) -> Value:
    """JSON as Go reads it: all numbers are floats."""
    if isinstance(value, dict):
        return {key: document(each) for key, each in value.items()}
    if isinstance(value, list):
        return [document(each) for each in value]
    return float(value) if type(value) is int else value


def ours(template: str, data: Any, *, missing: str, strings: bool = False) -> Answer:
    """Keyferry's answer. ``strings``: the data are a ``map[string]string``."""
    world = World(now=lambda: dt.datetime.now(dt.UTC), monotonic=time.monotonic, entropy=bytes)
    try:
        parsed = Template.parse(template, missing=missing)
        return Answer("text", parsed.render(string_map(data) if strings else document(data), world).text)
    except LimitError as error:
        return Answer("limit", error=str(error))
    except ParseError as error:
        return Answer("parse", error=str(error))
    except TemplateError as error:
        return Answer("exec", error=str(error))


def as_helm(template: str, data: Any) -> Answer:
    """Keyferry's answer with Helm's ways: ``missingkey=zero``, and no ``<no value>`` in what is rendered."""
    answer = ours(template, data, missing="zero")
    return Answer(answer.end, answer.text.replace(b"<no value>", b""), answer.error)


def helms(helm: Helm, template: str, data: Any) -> Answer:
    """Helm's answer."""
    text, error = helm.ask(template, data)
    return Answer("text", text) if text is not None else Answer("parse" if _NO_PARSE in error else "exec", error=error)
