"""Random templates, and what Helm's engine makes of them: the same text, or an error at the same stage.

``KEYFERRY_TEST_TEMPLATES`` is the number of templates, ``KEYFERRY_TEST_SEED`` chooses others than those of every day.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from keyferry.shape.gotmpl import FUNCTIONS
from tests.unit.shape.gotmpl.differential.answers import Answer, as_helm, helms
from tests.unit.shape.gotmpl.differential.differences import ANSWERED_OTHERWISE, HELMS, OURS, REFUSED, Refused
from tests.unit.shape.gotmpl.differential.grammar import Grammar
from tests.unit.shape.gotmpl.differential.helm import Helm
from tests.unit.shape.gotmpl.differential.tree import Tree, shrunk

COUNT = int(os.environ.get("KEYFERRY_TEST_TEMPLATES", "4000"))
SEED = int(os.environ.get("KEYFERRY_TEST_SEED", "2"))
MUTATED = 0.05
ATTEMPTS = 3
"""Times that Go is asked again, as it may disagree with itself: the order of a map is random there."""
LACKING = {name for names in OURS.values() for name in names}
ADDED = {name for names in HELMS.values() for name in names}
OTHERWISE = {name for each in ANSWERED_OTHERWISE for name in each.functions}


@pytest.fixture(scope="module")
def helm() -> Iterator[Helm]:
    with Helm() as engine:
        yield engine


def both(helm: Helm, template: str, data: Any) -> tuple[Answer, Answer]:
    """Our answer and Helm's, who is not asked for what goes beyond our limits: it has none."""
    here = as_helm(template, data)
    return here, here if here.end == "limit" else helms(helm, template, data)


def differs(helm: Helm, template: str, data: Any) -> bool:
    for _ in range(ATTEMPTS):
        here, there = both(helm, template, data)
        if here.agrees(there) or any(each.explains(template, here) for each in REFUSED):
            return False
    return True


def made_small(helm: Helm, tree: Tree, text: str, data: Any) -> str:
    # What was mutated is no tree any more.
    return shrunk(tree, lambda smaller: differs(helm, smaller, data)) if str(tree) == text else text


@pytest.mark.timeout(60 + COUNT // 50)
def test_random_templates_give_what_helm_gives(helm: Helm) -> None:
    rng = random.Random(SEED)
    grammar = Grammar(rng, without=LACKING | {"fromJson"})
    ends: Counter[str] = Counter()
    for number in range(COUNT):
        tree, data = grammar.template(), grammar.data()
        text = grammar.mutated(str(tree)) if rng.random() < MUTATED else str(tree)
        here, there = both(helm, text, data)
        ends[here.end] += 1
        if here.agrees(there) or not differs(helm, text, data):
            continue
        small = made_small(helm, tree, text, data)
        if not any(each.explains(small, data) for each in ANSWERED_OTHERWISE):
            here, there = both(helm, small, data)
            pytest.fail(f"seed {SEED}, number {number}\n{small}\nover {data}\nhere: {here}\nHelm: {there}")
    # Errors hide what stands behind them.
    assert ends["text"] > COUNT * 0.5
    assert ends["exec"] + ends["parse"] > COUNT * 0.2
    assert ends["limit"] < COUNT * 0.01


def test_the_functions_that_only_one_side_has_are_listed(helm: Helm) -> None:
    missing = {name for name in FUNCTIONS if f'function "{name}" not defined' in helm.ask(f"{{{{ {name} }}}}", {})[1]}
    assert missing == LACKING
    for name in ADDED:
        template = f"{{{{ if false }}}}{{{{ {name} }}}}{{{{ end }}}}"
        here, there = both(helm, template, {})
        assert (here.end, there.end) == ("parse", "text"), name


def test_all_functions_take_as_many_arguments_as_helms(helm: Helm) -> None:
    others = set()
    for name in FUNCTIONS.keys() - LACKING:
        few, many = (helm.ask(f"{{{{ {name} {arguments} }}}}", {})[1] for arguments in ("", "1 " * 9))
        wanted = re.search(r"want (?:at least )?(\d+) got 0", few)
        fixed = re.search(r"want (\d+) got 9", many)
        theirs = int(wanted[1]) if wanted else 0, fixed is None
        if theirs != (len(FUNCTIONS[name].params), FUNCTIONS[name].rest is not None):
            others.add(name)
    assert others == {"htpasswd"}


@pytest.mark.parametrize(
    ("example", "functions"),
    [(example, each.functions) for each in ANSWERED_OTHERWISE for example in each.examples],
)
def test_what_helm_answers_otherwise_is_really_otherwise(helm: Helm, example: str, functions: tuple[str, ...]) -> None:
    here, there = both(helm, example, {})
    assert not here.agrees(there)
    assert any(name in example for name in functions)


def test_every_function_that_is_listed_has_an_example() -> None:
    shown = {example.split()[1] for each in ANSWERED_OTHERWISE for example in each.examples}
    assert shown == OTHERWISE


@pytest.mark.parametrize(("example", "refused"), [(example, each) for each in REFUSED for example in each.examples])
def test_what_is_refused_here_is_done_by_go(helm: Helm, example: str, refused: Refused) -> None:
    here, there = both(helm, example, {})
    assert not here.agrees(there)
    assert there.end == "text"
    assert refused.explains(example, here)


def test_a_difference_is_made_as_small_as_can_be(helm: Helm) -> None:
    grammar = Grammar(random.Random(1))
    guilty = "hexdec"
    tree = next(each for each in iter(grammar.template, None) if guilty in str(each) and len(str(each)) > 150)
    small = made_small(helm, tree, str(tree), {})
    assert guilty in small
    assert len(small) < 30
    assert differs(helm, small, {})
