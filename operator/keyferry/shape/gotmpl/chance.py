"""Even choices out of the random bytes of a run."""

from __future__ import annotations

from keyferry.shape.gotmpl.run import Run

__all__ = ["below", "pick"]

_BYTE = 256


def below(run: Run, bound: int, function: str) -> int:
    """A number from 0 to ``bound - 1``, each as likely as the other."""
    size = (bound.bit_length() + 7) // 8
    mask = (1 << bound.bit_length()) - 1
    while True:
        number = int.from_bytes(run.entropy(size, function), "big") & mask
        if number < bound:
            return number


def pick(run: Run, alphabet: str, count: int, function: str) -> str:
    """``count`` characters of an alphabet of at most 256."""
    # Bytes beyond the last whole multiple would make the first characters likelier.
    usable = _BYTE - _BYTE % len(alphabet)
    picked: list[str] = []
    run.make(count)
    while len(picked) < count:
        run.spend(1 + count // 16)
        drawn = run.entropy(count - len(picked) + 8, function)
        picked += (alphabet[each % len(alphabet)] for each in drawn if each < usable)
    return "".join(picked[:count])
