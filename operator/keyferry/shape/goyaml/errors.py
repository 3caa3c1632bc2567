"""What can be wrong with YAML."""

from __future__ import annotations

from keyferry.errors import BadValue


class YamlError(BadValue):
    """A document that cannot be read, or a value that cannot be written.

    ``message`` holds nothing of the document but keys, and the right line. ``detail`` is what sigs.k8s.io/yaml says,
    which may hold a value, and which counts lines in its own way. ``key`` is the one in ``message``, if any.
    """

    def __init__(self, message: str, *, detail: str = "", key: str = "") -> None:
        super().__init__(message)
        self.detail = detail or message
        self.key = key


class TooDeep(YamlError):
    """A document that is nested deeper than the caller allows: Go goes to 10,000 levels, and no Python stack does."""


def converting(problem: str, *, line: int = 0, told: int = 0, message: str = "") -> YamlError:
    """An error of the YAML library. ``line`` is the right line, ``told`` the one that Go tells; 0 is for none."""
    place = f"line {line}: " if line else ""
    go_place = f"line {told}: " if told else ""
    return YamlError(
        f"not YAML: {place}{message or problem}", detail=f"error converting YAML to JSON: yaml: {go_place}{problem}"
    )


def unmarshaling(kind: str, go_type: str, *, message: str, key: str = "") -> YamlError:
    """An error of encoding/json, which takes over once YAML has become JSON."""
    return YamlError(
        message,
        detail="error unmarshaling JSON: while decoding JSON: json: "
        f"cannot unmarshal {kind} into Go value of type {go_type}",
        key=key,
    )
