"""gjson paths: values out of JSON text, kept as they stand there (https://github.com/tidwall/gjson).

Belongs here: the path syntax, its queries, multipaths and modifiers. Does not belong here: what a property of an entry
means, which is the business of ``shape.extract``.
"""

from keyferry.shape.gjson.search import Result, get

__all__ = ["Result", "get"]
