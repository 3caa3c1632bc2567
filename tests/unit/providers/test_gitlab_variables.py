from __future__ import annotations

import pytest

from keyferry.errors import BadSpec
from keyferry.providers.gitlab.config import GitlabConfig
from keyferry.providers.gitlab.variables import Scope, Variable, merged


def variables(*scopes: str) -> list[Variable]:
    """One key, for each of these scopes; the value tells the scope."""
    return [Variable("A", scope, scope) for scope in scopes]


@pytest.mark.parametrize(
    ("environment", "scopes", "chosen"),
    [
        ("production", ["*", "production"], "production"),
        ("production", ["production", "*"], "production"),
        ("production", ["*", "staging"], "*"),
        ("production", ["staging", "prod*"], None),
        ("production", [], None),
        ("*", ["staging"], None),
        ("*", ["staging", "*"], "*"),
        ("", ["staging"], "staging"),
        ("", [], None),
    ],
)
def test_a_scope_is_chosen_by_the_environment(environment: str, scopes: list[str], chosen: str | None) -> None:
    found = Scope(environment).choose(variables(*scopes))
    assert (found and found.scope) == chosen


def test_without_an_environment_nothing_is_chosen_among_several() -> None:
    with pytest.raises(BadSpec, match=r'exists for several environments: "\*", "staging"'):
        Scope("").choose(variables("*", "staging"))


@pytest.mark.parametrize(
    ("groups", "project", "taken"),
    [
        ([["*"], ["*"]], [], 0),
        ([["e"], ["e"]], [], 1),
        ([["e"], ["*"]], [], 0),
        ([["*"], ["e"]], [], 1),
        ([["e"]], ["*"], -1),
        ([["e"]], ["e", "*"], -1),
        ([["other"]], [], None),
    ],
)
def test_a_search_takes_the_variable_that_eso_takes(
    groups: list[list[str]], project: list[str], taken: int | None
) -> None:
    of_groups = [[Variable("A", scope, str(number)) for scope in scopes] for number, scopes in enumerate(groups)]
    found = merged("e", of_groups, [Variable("A", scope, "-1") for scope in project], lambda _: True)
    assert {key: variable.value for key, variable in found.items()} == ({} if taken is None else {"A": str(taken)})


def test_a_value_is_not_shown() -> None:
    assert "canary" not in repr(Variable("A", "*", "canary"))


def test_every_field_is_described() -> None:
    schema = GitlabConfig.model_json_schema(by_alias=True)
    models = [schema, *schema["$defs"].values()]
    assert [
        f"{m['title']}.{n}" for m in models for n, f in m.get("properties", {}).items() if not f.get("description")
    ] == []
