"""Go's text/template with the functions of sprig and the External Secrets Operator."""

from keyferry.shape.gotmpl.errors import ExecError, LimitError, ParseError, TemplateError
from keyferry.shape.gotmpl.functions import FUNCTIONS
from keyferry.shape.gotmpl.run import Limits, World
from keyferry.shape.gotmpl.template import Rendered, Template

__all__ = [
    "FUNCTIONS",
    "ExecError",
    "LimitError",
    "Limits",
    "ParseError",
    "Rendered",
    "Template",
    "TemplateError",
    "World",
]
