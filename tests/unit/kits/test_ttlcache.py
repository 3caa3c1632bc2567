from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keyferry.kits.ttlcache import Budget, TtlCache

CANARY = "canary-c0ffee"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make(most: int = 100, total: int = 1000) -> tuple[TtlCache[str, str], Budget, Clock]:
    clock, budget = Clock(), Budget(total)
    return TtlCache(most=most, budget=budget, clock=clock), budget, clock


def test_a_value_is_given_out_with_its_moment_until_its_time_is_over() -> None:
    cache, budget, clock = make()
    clock.now = 5
    cache.put("a", "1", moment=3, seconds=10, size=10)
    assert cache.get("a") == ("1", 3)
    clock.now = 13
    assert cache.get("a") is None
    assert (len(cache), cache.size, budget.used) == (0, 0, 0)
    cache.put("late", "1", moment=1, seconds=10, size=10)
    assert len(cache) == 0


def test_an_older_value_never_takes_the_place_of_a_newer_one() -> None:
    cache, _, _ = make()
    cache.put("a", "new", moment=2, seconds=10, size=10)
    cache.put("a", "old", moment=1, seconds=10, size=10)
    assert cache.get("a") == ("new", 2)
    cache.put("a", "newest", moment=3, seconds=10, size=30)
    assert (cache.get("a"), cache.size) == (("newest", 3), 30)


def test_what_was_not_asked_for_longest_goes_first() -> None:
    cache, _, _ = make(most=30)
    for name in "abc":
        cache.put(name, name, moment=0, seconds=10, size=10)
    cache.get("a")
    cache.put("d", "d", moment=0, seconds=10, size=10)
    assert [name for name in "abcd" if cache.get(name)] == ["a", "c", "d"]
    cache.put("a", "too large", moment=1, seconds=10, size=31)
    assert cache.get("a") is None


def test_whoever_has_most_gives_way_when_all_together_have_too_much() -> None:
    small, budget, clock = make(total=50)
    large: TtlCache[str, str] = TtlCache(most=100, budget=budget, clock=clock)
    small.put("a", "1", moment=0, seconds=10, size=10)
    for name in "abcdef":
        large.put(name, name, moment=0, seconds=10, size=10)
    assert (small.size, large.size, budget.used) == (10, 40, 50)
    assert large.get("f")
    large.clear()
    assert budget.used == 10


def test_a_sweep_takes_what_is_too_old() -> None:
    cache, budget, clock = make()
    cache.put("a", "1", moment=0, seconds=10, size=10)
    cache.put("b", "1", moment=0, seconds=20, size=10)
    clock.now = 15
    cache.sweep()
    assert (len(cache), budget.used) == (1, 10)


def test_what_is_too_old_to_be_given_out_may_be_kept_to_be_compared() -> None:
    cache, budget, clock = make()
    cache.put("a", "1", moment=0, seconds=10, size=10, more=20)
    clock.now = 15
    assert (cache.get("a"), cache.outdated("a"), budget.used) == (None, "1", 10)
    cache.sweep()
    assert cache.outdated("a") == "1"
    cache.put("a", "2", moment=15, seconds=10, size=12, more=20)
    assert (cache.get("a"), cache.outdated("a"), budget.used) == (("2", 15), "2", 12)
    clock.now = 45
    assert (cache.outdated("a"), cache.get("a"), budget.used) == (None, None, 0)


def test_no_text_of_a_cache_shows_a_value() -> None:
    cache, budget, _ = make()
    cache.put("a", CANARY, moment=0, seconds=10, size=10)
    assert CANARY not in repr(cache) + repr(budget) + repr(vars(cache)) + repr(vars(budget))


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("abcdef"), st.integers(0, 60), st.floats(0, 30), st.booleans()),
        max_size=60,
    )
)
def test_bounds_and_accounts_hold_whatever_is_kept(steps: list[tuple[int, str, int, float, bool]]) -> None:
    clock, budget = Clock(), Budget(120)
    caches: list[TtlCache[str, int]] = [TtlCache(most=50, budget=budget, clock=clock) for _ in range(3)]
    for number, name, size, wait, clears in steps:
        caches[number].put(name, size, moment=clock.now, seconds=20, size=size)
        clock.now += wait
        if clears:
            caches[number].clear()
        for cache in caches:
            cache.sweep()
            kept = [found[0] for each in "abcdef" if (found := cache.get(each))]
            assert sum(kept) == cache.size <= 50
        assert sum(cache.size for cache in caches) == budget.used <= 120
