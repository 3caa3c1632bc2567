"""Errors as the API server words them: one exception, carrying the `Status` object clients parse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

Json = dict[str, Any]


def quote(value: str) -> str:
    """A string the way Go's %q prints it, near enough: clients match on these texts."""
    return orjson.dumps(value).decode()


def show(value: Any) -> str:
    if isinstance(value, str):
        return quote(value)
    return orjson.dumps(value).decode()


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule; `reason` is the machine-readable cause, `text` what follows the field's path."""

    field: str
    reason: str
    text: str

    def __str__(self) -> str:
        return f"{self.field}: {self.text}"


def required(field: str, detail: str = "") -> FieldError:
    text = f"Required value: {detail}" if detail else "Required value"
    return FieldError(field, "FieldValueRequired", text)


def invalid(field: str, value: Any, detail: str) -> FieldError:
    return FieldError(field, "FieldValueInvalid", f"Invalid value: {show(value)}: {detail}")


def type_invalid(field: str, value: Any, detail: str) -> FieldError:
    return FieldError(field, "FieldValueTypeInvalid", f"Invalid value: {show(value)}: {detail}")


def too_long(field: str, limit: int, unit: str = "bytes") -> FieldError:
    return FieldError(field, "FieldValueTooLong", f"Too long: may not be more than {limit} {unit}")


def too_many(field: str, actual: int, limit: int) -> FieldError:
    text = f"Too many: {actual}: must have at most {limit} item{'' if limit == 1 else 's'}"
    return FieldError(field, "FieldValueTooMany", text)


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError(field, "FieldValueDuplicate", f"Duplicate value: {show(value)}")


def unsupported(field: str, value: Any, choices: Sequence[str]) -> FieldError:
    listed = ", ".join(quote(c) for c in choices)
    text = f"Unsupported value: {show(value)}: supported values: {listed}"
    return FieldError(field, "FieldValueNotSupported", text)


def forbidden_field(field: str, detail: str) -> FieldError:
    return FieldError(field, "FieldValueForbidden", f"Forbidden: {detail}")


class ApiError(Exception):
    """A refusal. `body()` is the Status sent to the client."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = headers or {}

    def body(self) -> Json:
        status: Json = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details:
            status["details"] = self.details
        status["code"] = self.code
        return status


def _details(kind: str, group: str, name: str, **more: Any) -> Json:
    details: Json = {}
    if name:
        details["name"] = name
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details.update(more)
    return details


def qualified(name: str, group: str) -> str:
    return f"{name}.{group}" if group else name


def not_found(plural: str, group: str, name: str) -> ApiError:
    text = f"{qualified(plural, group)} {quote(name)} not found"
    return ApiError(404, "NotFound", text, _details(plural, group, name))


def no_such_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(plural: str, group: str, name: str) -> ApiError:
    text = f"{qualified(plural, group)} {quote(name)} already exists"
    return ApiError(409, "AlreadyExists", text, _details(plural, group, name))


def conflict(plural: str, group: str, name: str, why: str) -> ApiError:
    text = f"Operation cannot be fulfilled on {qualified(plural, group)} {quote(name)}: {why}"
    return ApiError(409, "Conflict", text, _details(plural, group, name))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def stale(plural: str, group: str, name: str) -> ApiError:
    return conflict(plural, group, name, STALE)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def internal(message: str) -> ApiError:
    causes = [{"message": message}]
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", {"causes": causes})


def invalid_object(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    """422. The kind here is the singular Kind, unlike in every other Status."""
    causes = [{"reason": e.reason, "message": e.text, "field": e.field} for e in errors]
    unique = list(dict.fromkeys(str(e) for e in errors))
    joined = unique[0] if len(unique) == 1 else "[" + ", ".join(unique) + "]"
    text = f"{qualified(kind, group)} {quote(name)} is invalid: {joined}"
    return ApiError(422, "Invalid", text, _details(kind, group, name, causes=causes))


def forbidden(plural: str, group: str, name: str, why: str) -> ApiError:
    subject = f"{qualified(plural, group)} {quote(name)}" if name else qualified(plural, group)
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", _details(plural, group, name))


def expired(message: str) -> ApiError:
    return ApiError(410, "Expired", message)


def unauthorized() -> ApiError:
    return ApiError(401, "Unauthorized", "Unauthorized")


def not_acceptable(accepted: str) -> ApiError:
    text = f"only the following media types are accepted: {accepted}"
    return ApiError(406, "NotAcceptable", text)


def success(details: Json) -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }
