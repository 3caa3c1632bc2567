"""BatchGetSecretValue and GetParameters, made of moto's calls for one.

moto's own differ from AWS: its batch misses stages that were moved and fails as a whole for a secret without a value,
and its parameters do not tell the selector that they were asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.sandbox.aws.iam import Principal, Refused

Forward = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""A moto call by its action: the answer, or ``Refused``."""


def batch_get_secret_value(who: Principal, asked: Mapping[str, Any], forward: Forward, page: int) -> dict[str, Any]:
    """BatchGetSecretValue by names, ``page`` of them per answer."""
    names = list(asked["SecretIdList"])
    if not 1 <= len(names) <= 20:
        raise Refused("InvalidParameterException", "You can specify up to 20 secrets in SecretIdList.")
    start = int(asked.get("NextToken") or 0)
    values: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    for name in names[start : start + page]:
        try:
            who.rights.check(who, "secretsmanager:GetSecretValue", name)
            values.append(forward("GetSecretValue", {"SecretId": name, "VersionStage": "AWSCURRENT"}))
        except Refused as refused:
            errors.append({"SecretId": name, "ErrorCode": refused.code, "Message": refused.message})
    more = {"NextToken": str(start + page)} if start + page < len(names) else {}
    return {"SecretValues": values, "Errors": errors, **more}


def get_parameters(who: Principal, asked: Mapping[str, Any], forward: Forward) -> dict[str, Any]:
    """GetParameters. One that is denied denies all."""
    names = list(asked["Names"])
    if not 1 <= len(names) <= 10:
        raise Refused("ValidationException", "Member must have length less than or equal to 10")
    if len(set(names)) < len(names):
        raise Refused("ValidationException", "Duplicate parameter names are not allowed")
    for name in names:
        who.rights.check(who, "ssm:GetParameters", bare(name))
    found, invalid = [], []
    for name in names:
        try:
            found.append(get_parameter(name, asked, forward))
        except Refused:
            invalid.append(name)
    return {"Parameters": found, "InvalidParameters": invalid}


def get_parameter(name: str, asked: Mapping[str, Any], forward: Forward) -> dict[str, Any]:
    """One parameter, with its selector."""
    plain = name.rpartition("parameter/")[2] if name.startswith("arn:") else name
    base, _, selector = plain.partition(":")
    answer = forward("GetParameter", {"Name": name, "WithDecryption": asked.get("WithDecryption", False)})
    found: dict[str, Any] = answer["Parameter"]
    if selector:
        found["Selector"] = f":{selector}"
    assert found["Name"].strip("/") == base.strip("/")
    return found


def bare(name: str) -> str:
    """A parameter's or a secret's name out of what was asked for."""
    if not name.startswith("arn:"):
        return name.partition(":")[0]
    return name.split(":", 5)[5].partition(":")[2] if ":secret:" in name else name.partition("parameter")[2]
