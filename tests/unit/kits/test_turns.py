from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyferry.kits.turns import Turns, Waiting

KEYS = st.lists(st.tuples(st.sampled_from("sr"), st.sampled_from("abc"), st.integers(0, 99)), unique=True)
"""Keys as (what they use, tenant, number)."""


def lined_up(keys: list[tuple[str, str, int]]) -> Turns[tuple[str, str, int]]:
    turns: Turns[tuple[str, str, int]] = Turns(lambda key: key[1], lambda key: frozenset(key[0]))
    for number, key in enumerate(keys):
        turns.put(key, Waiting(float(number), rung=True))
    return turns


def taken(turns: Turns[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    found = []
    while next_one := turns.take(lambda _: True):
        found.append(next_one[0])
    return found


@given(KEYS)
def test_every_key_is_taken_once_and_each_tenants_in_the_order_in_which_they_came(
    keys: list[tuple[str, str, int]],
) -> None:
    turns = lined_up(keys)
    assert (len(turns), set(turns)) == (len(keys), set(keys))
    found = taken(turns)
    assert sorted(found) == sorted(keys)
    for use in "sr":
        for tenant in "abc":
            mine = [key for key in keys if key[:2] == (use, tenant)]
            assert [key for key in found if key[:2] == (use, tenant)] == mine
    assert not turns
    assert not turns._groups, "what is empty is not kept"


@given(st.integers(1, 30), st.integers(1, 30))
def test_a_tenant_with_many_keys_is_never_more_than_one_ahead_of_one_that_still_waits(many: int, few: int) -> None:
    found = taken(lined_up([*(("s", "a", n) for n in range(many)), *(("s", "b", n) for n in range(few))]))
    both = found[: 2 * min(many, few)]
    for end in range(len(both)):
        count = [key[1] for key in both[: end + 1]]
        assert abs(count.count("a") - count.count("b")) <= 1


def test_stores_take_turns_whoever_of_their_tenants_comes_next() -> None:
    keys = [*(("s", tenant, n) for n in range(3) for tenant in "abc"), ("r", "a", 0), ("r", "a", 1)]
    assert [key[0] for key in taken(lined_up(keys))[:4]] == ["s", "r", "s", "r"]


def test_what_has_nothing_free_is_stepped_over_and_keeps_its_turn() -> None:
    turns = lined_up([("s", "a", 0), ("r", "b", 0), ("r", "b", 1), ("r", "b", 2)])

    def other(uses: frozenset[object]) -> bool:
        return uses != {"s"}

    assert [found[0] for _ in range(2) if (found := turns.take(other))] == [("r", "b", 0), ("r", "b", 1)]
    assert [found[0] for _ in range(2) if (found := turns.take(lambda _: True))] == [("s", "a", 0), ("r", "b", 2)]
    assert turns.take(other) is None


@given(KEYS, st.data())
def test_the_oldest_is_found_whatever_was_dropped(keys: list[tuple[str, str, int]], data: st.DataObject) -> None:
    turns = lined_up(keys)
    dropped = data.draw(st.sets(st.sampled_from(keys))) if keys else set()
    for key in dropped:
        assert turns.drop(key) == Waiting(float(keys.index(key)), rung=True)
        assert turns.drop(key) is None
    left = [float(number) for number, key in enumerate(keys) if key not in dropped]
    assert turns.oldest() == (pytest.approx(min(left)) if left else None)
