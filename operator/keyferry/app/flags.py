"""From flags and environment to ``Settings``. A flag beats the environment, which beats the default.

Every option can also be set as ``KEYFERRY_<NAME>``; an empty variable counts as unset. Flags are written as for ESO:
``--flag=value``, ``--flag value``, and a switch without a value is on.
"""

from __future__ import annotations

import dataclasses
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from keyferry.addresses import networks
from keyferry.api.duration import parse_duration
from keyferry.app.carried import REFUSED_WHEN_ON, WITHOUT_EFFECT
from keyferry.errors import KeyferryError
from keyferry.settings import Address, Kind, Option, Settings

_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})
_NUMBERS: Mapping[Kind, Callable[[str], float]] = {
    Kind.COUNT: int,
    Kind.NUMBER: float,
    Kind.DURATION: parse_duration,
}
_T = TypeVar("_T")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class FlagError(KeyferryError):
    """A flag or variable that cannot be used; the process ends with status 2."""


class Parsed(NamedTuple):
    """``notices`` are sentences about flags that were accepted and ignored."""

    settings: Settings
    notices: tuple[str, ...]


class Place(NamedTuple):
    """Where a setting is kept: ``settings.<group>.<name>``."""

    group: str
    name: str
    option: Option
    default: Any


def places() -> Iterator[Place]:
    """Every setting that users can set, in the order of the tree."""
    tree = Settings()
    for group in dataclasses.fields(Settings):
        branch = getattr(tree, group.name)
        for leaf in dataclasses.fields(branch):
            if "option" in leaf.metadata:
                yield Place(group.name, leaf.name, leaf.metadata["option"], getattr(branch, leaf.name))


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Parsed:
    """The settings of this process. Raises ``FlagError`` with a message that names flag, value and form."""
    given = _split(arguments)
    branches: dict[str, dict[str, Any]] = {}
    for place in places():
        option = place.option
        written, source = given.get(option.flag), option.flag
        if written is None:
            written, source = environment.get(option.variable) or None, option.variable
        if written is not None:
            branches.setdefault(place.group, {})[place.name] = _read(option, written, source)
    tree = Settings()
    settings = dataclasses.replace(
        tree, **{group: dataclasses.replace(getattr(tree, group), **leaves) for group, leaves in branches.items()}
    )
    _check_together(settings)
    return Parsed(settings, tuple(_notices(given)))


def usage() -> str:
    """The text of ``--help`` about flags: each with its form, meaning, default and variable."""
    lines = []
    for place in places():
        option = place.option
        form = "|".join(option.choices) if option.kind is Kind.CHOICE else option.kind.value
        default = written_as(option, place.default)
        about = f"{option.help} (default {default}; {option.variable})"
        lines.append(f"  {option.flag} {form}")
        lines.extend(textwrap.wrap(about, 108, initial_indent=" " * 8, subsequent_indent=" " * 8))
    lines += [
        "",
        "Durations are written as in Go: 30s, 5m, 1h30m.",
        "Addresses are :8080, 127.0.0.1:8080, [::1]:8080, or 0 for none.",
        "A flag beats its variable. What SDKs read from the environment is told on the pages of the providers.",
        "ESO's other flags are accepted with a warning.",
    ]
    return "\n".join(lines)


def written_as(option: Option, value: Any) -> str:
    """A setting as users write it; two quotes where it is empty."""
    match option.kind:
        case Kind.DURATION:
            minutes = value >= 60 and value % 60 == 0
            return f"{value / 60:g}m" if minutes else f"{value:g}s"
        case Kind.SWITCH:
            return "true" if value else "false"
        case Kind.NAMES | Kind.NETWORKS:
            return ",".join(value) or '""'
        case Kind.ADDRESS:
            return "0" if value is None else str(value)
        case Kind.NUMBER:
            return f"{value:g}"
        case _:
            return str(value) or '""'


def _split(arguments: Sequence[str]) -> dict[str, str]:
    """Flags and what is written for them; the last one wins, as in Go. Raises ``FlagError``."""
    # argparse is not used, since it takes a value that begins with a dash for a flag; Go takes the next word.
    options = {place.option.flag: place.option for place in places()}
    given: dict[str, str] = {}
    words = list(arguments)
    while words:
        flag, equals, written = words.pop(0).partition("=")
        if flag not in options and flag not in WITHOUT_EFFECT:
            what = "flag" if flag.startswith("-") else "command or flag"
            raise FlagError(f"{flag}: no such {what}", remedy="see keyferry --help")
        option = options.get(flag)
        if not equals:
            following = words[0] if words else ""
            if option is None:
                takes = bool(following) and not following.startswith("-")
            elif option.kind is Kind.SWITCH:
                takes = following.lower() in _TRUE | _FALSE
            else:
                takes = True
                if not words:
                    raise FlagError(f"{flag}: needs a value, {_form(option)}")
            written = words.pop(0) if takes else "true"
        given[flag] = written
    return given


def _read(option: Option, written: str, source: str) -> Any:
    try:
        return _value(option, written.strip())
    except ValueError:
        raise FlagError(f'{source} "{written}": must be {_form(option)}') from None


def _value(option: Option, written: str) -> Any:
    """Raises ``ValueError``; its text is of no use to users."""
    match option.kind:
        case Kind.TEXT:
            return written
        case Kind.NAMES:
            names = [name.strip() for name in written.split(",") if name.strip()]
            return tuple(_checked(name, _NAMESPACE.fullmatch(name) is not None) for name in dict.fromkeys(names))
        case Kind.NETWORKS:
            listed = [each.strip() for each in written.split(",") if each.strip()]
            return tuple(str(each) for each in networks(dict.fromkeys(listed)))
        case Kind.CHOICE:
            return option.choices[_checked(written.lower(), written.lower() in option.choices)]
        case Kind.SWITCH:
            return _checked(written.lower(), written.lower() in _TRUE | _FALSE) in _TRUE
        case Kind.ADDRESS:
            return address(written)
        case _:
            number = _NUMBERS[option.kind](written)
            return _checked(number, option.least <= number < math.inf)


def _checked(value: _T, holds: bool) -> _T:
    if not holds:
        raise ValueError
    return value


def address(written: str) -> Address | None:
    """Go's form of an address to listen on; None for "0" and "". Raises ``ValueError``."""
    if written in ("", "0"):
        return None
    host, colon, port = written.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535 or (":" in host and not bracketed):
        raise ValueError
    return Address(host[1:-1] if bracketed else host, int(port))


def _form(option: Option) -> str:
    match option.kind:
        case Kind.CHOICE:
            return "one of " + ", ".join(option.choices)
        case Kind.SWITCH:
            return "true or false"
        case Kind.NAMES:
            return "names of namespaces, separated by commas"
        case Kind.NETWORKS:
            return "networks such as 10.0.0.0/8, separated by commas"
        case Kind.ADDRESS:
            return "an address such as :8080 or 127.0.0.1:8080, or 0 for none"
        case Kind.COUNT:
            return f"a whole number from {option.least:g} on"
        case Kind.NUMBER:
            return f"a number from {option.least:g} on"
        case Kind.TEXT:
            return "some text"
        case _:
            least = f", at least {written_as(option, option.least)}" if option.least else ""
            return f"a duration such as 30s, 5m or 1h30m{least}"


def _check_together(settings: Settings) -> None:
    """client-go's conditions on the three times of an election. Raises ``FlagError``."""
    election = settings.election
    if election.lease_duration <= election.renew_deadline:
        raise FlagError("--leader-election-lease-duration must be longer than --leader-election-renew-deadline")
    if election.renew_deadline <= 1.2 * election.retry_period:
        raise FlagError("--leader-election-renew-deadline must be longer than 1.2 times --leader-election-retry-period")
    if not election.id:
        raise FlagError('--leader-election-id "": must be the name of a Lease')


def _notices(given: Mapping[str, str]) -> Iterator[str]:
    for flag, why in WITHOUT_EFFECT.items():
        written = given.get(flag)
        if written is None:
            continue
        if flag in REFUSED_WHEN_ON and written.lower() not in _FALSE:
            raise FlagError(f'{flag} "{written}": {REFUSED_WHEN_ON[flag]}')
        yield f"{flag} has no effect in Keyferry: {why}"
