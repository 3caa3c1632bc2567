"""The functions, one topic per file."""

from __future__ import annotations

from typing import Final

from keyferry.shape.gotmpl.functions import (
    builtins,
    certificates,
    dates,
    defaults,
    dicts,
    documents,
    encoding,
    jwk,
    lists,
    numbers,
    passwords,
    paths,
    pem,
    pkcs12,
    reflection,
    regex,
    rsa,
    semver,
    split,
    strings,
    text,
    urls,
)
from keyferry.shape.gotmpl.registry import Function

_TOPICS: Final = (
    *(certificates, dates, defaults, dicts, documents, encoding, jwk, lists, numbers, passwords, paths, pem, pkcs12),
    *(reflection, regex, rsa, semver, split, strings, text, urls),
)

FUNCTIONS: Final[dict[str, Function]] = {
    # sprig's slice stands in for that of text/template.
    **builtins.REGISTRY.functions,
    **{name: function for topic in _TOPICS for name, function in topic.REGISTRY.functions.items()},
}
"""Every function that templates may call, by name; ``and`` and ``or`` are the engine's own."""
