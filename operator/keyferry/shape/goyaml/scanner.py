"""Characters to tokens.

A key is seen only when its ``:`` is, so what may turn out to be one is remembered ("candidate"), one for each level of
flow collections, and tokens are kept back as long as a candidate stands first among them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from keyferry.shape.goyaml import scalars
from keyferry.shape.goyaml.errors import TooDeep, YamlError
from keyferry.shape.goyaml.reader import BLANK_OR_END, BLANKS, BREAKS, END, Cursor
from keyferry.shape.goyaml.tags import anchor, directive, tag

_KEY_LENGTH: Final = 1024
"""Characters that a key without ``?`` may have."""
_WITHOUT_TABS = re.compile(f" *(?:#[^{BREAKS}{END}]*)?")
_WITH_TABS = re.compile(f"[{BLANKS}]*(?:#[^{BREAKS}{END}]*)?")
_NO_TOKEN: Final = frozenset(f"#{BLANKS}{BREAKS}")
_NO_PLAIN: Final = frozenset("-?:,[]{}#&*!|>'\"%@`")


class Token(NamedTuple):
    """A token; ``line`` counts from 0.

    Kinds are the indicators ``[ ] { } , - ? :``, ``alias``, ``anchor``, ``tag``, ``plain``, ``scalar`` (in quotes or a
    block), ``version``, ``tag directive``, ``start`` and ``end`` (of a document), ``stream end``, and, where
    indentation begins or ends them, ``sequence``, ``mapping`` and ``block end``.
    """

    kind: str
    line: int
    value: str = ""
    more: str = ""
    """The suffix of a tag, the prefix of a tag directive."""


@dataclass(slots=True)
class _Candidate:
    number: int
    line: int
    place: int
    column: int
    required: bool
    """Whether there has to be a key: the place is at the indentation of a mapping."""


class Scanner:
    """Tokens, one at a time. ``depth`` bounds the nesting; ``count`` is told of every token, and may raise.

    All methods raise ``YamlError``.
    """

    def __init__(self, document: bytes, depth: int, count: Callable[[], None]) -> None:
        self._cursor = Cursor(document)
        self._depth = depth
        self._count = count
        self._tokens: deque[Token] = deque()
        self._taken = 0
        self._candidates: list[_Candidate | None] = [None]
        self._numbers = [0]
        """For each level the number of its last candidate, or of the token that opened it."""
        self._by_number: dict[int, int] = {}
        """Number of a token to the level whose candidate it is."""
        self._in_flow = 0
        """How many flow collections are open."""
        self._key_allowed = True
        self._indent = -1
        self._indents: list[int] = []
        self._known = False
        """Whether the first of the tokens is known to be the next."""

    def peek(self) -> Token:
        """The next token."""
        if not self._known:
            while not self._tokens or self._first_may_follow_a_key():
                self._fetch()
            self._known = True
        return self._tokens[0]

    def take(self) -> Token:
        """The next token, which is not next any longer."""
        self.peek()
        self._count()
        self._taken += 1
        self._known = False
        return self._tokens.popleft()

    def _first_may_follow_a_key(self) -> bool:
        level = self._by_number.get(self._taken)
        return level is not None and self._is_valid(level)

    def _is_valid(self, level: int) -> bool:
        candidate = self._candidates[level]
        if candidate is None:
            return False
        if candidate.line < self._cursor.line or candidate.place + _KEY_LENGTH < self._cursor.place:
            if candidate.required:
                raise self._cursor.error("could not find expected ':'")
            self._candidates[level] = None
            return False
        return True

    def _save_candidate(self) -> None:
        if not self._key_allowed:
            return
        self._drop_candidate()
        cursor = self._cursor
        number = self._taken + len(self._tokens)
        required = not self._in_flow and self._indent == cursor.column
        self._candidates[-1] = _Candidate(number, cursor.line, cursor.place, cursor.column, required)
        self._numbers[-1] = number
        self._by_number[number] = self._in_flow

    def _drop_candidate(self) -> None:
        candidate = self._candidates[-1]
        if candidate is not None:
            if candidate.required:
                raise self._cursor.error("could not find expected ':'")
            self._candidates[-1] = None
            self._by_number.pop(candidate.number, None)

    def _add(self, kind: str, length: int = 0, value: str = "", more: str = "") -> None:
        self._tokens.append(Token(kind, self._cursor.line, value, more))
        self._cursor.place += length

    def _roll(self, column: int, kind: str, *, at: int | None = None, line: int | None = None) -> None:
        """Begin a block collection where the column is deeper than the present one. ``at`` is a token's number."""
        if self._in_flow or self._indent >= column:
            return
        self._indents.append(self._indent)
        self._indent = column
        if len(self._indents) > self._depth:
            raise self._too_deep()
        self._insert(at, Token(kind, self._cursor.line if line is None else line))

    def _insert(self, number: int | None, token: Token) -> None:
        place = -1 if number is None else number - self._taken
        # Go gives an empty collection away before it sees that it is a key; the key comes after it then.
        self._tokens.insert(place if place >= 0 else len(self._tokens), token)

    def _unroll(self, column: int) -> None:
        while not self._in_flow and self._indent > column:
            self._add("block end")
            self._indent = self._indents.pop()

    def _fetch(self) -> None:
        cursor = self._cursor
        self._skip_to_token()
        self._unroll(cursor.column)
        character, following = cursor.text[cursor.place], cursor.text[cursor.place + 1]
        if character == END:
            self._stream_end()
        elif cursor.column == 0 and character == "%":
            self._restart()
            line = cursor.line
            kind, value, more = directive(cursor)
            self._tokens.append(Token(kind, line, value, more))
        elif cursor.at_indicator():
            self._restart()
            self._add("start" if character == "-" else "end", 3)
        elif not self._FETCHERS.get(character, Scanner._plain)(self, character, following):
            raise cursor.error("found character that cannot start any token")

    def _skip_to_token(self) -> None:
        cursor = self._cursor
        while cursor.text[cursor.place] in _NO_TOKEN:
            # Tabs do not indent.
            pattern = _WITH_TABS if self._in_flow or not self._key_allowed else _WITHOUT_TABS
            if (found := pattern.match(cursor.text, cursor.place)) is not None:
                cursor.place = found.end()
            if cursor.text[cursor.place] not in BREAKS:
                return
            cursor.take_break()
            if not self._in_flow:
                self._key_allowed = True

    def _restart(self) -> None:
        self._unroll(-1)
        self._drop_candidate()
        self._key_allowed = False

    def _stream_end(self) -> None:
        if self._cursor.column:
            self._cursor.new_line()
        self._restart()
        self._add("stream end")

    def _open(self, character: str, _following: str) -> bool:
        self._save_candidate()
        self._numbers.append(self._taken + len(self._tokens))
        self._candidates.append(None)
        self._in_flow += 1
        if self._in_flow > self._depth:
            raise self._too_deep()
        self._key_allowed = True
        self._add(character, 1)
        return True

    def _close(self, character: str, _following: str) -> bool:
        self._drop_candidate()
        if self._in_flow:
            self._in_flow -= 1
            self._candidates.pop()
            self._by_number.pop(self._numbers.pop(), None)
        self._key_allowed = False
        self._add(character, 1)
        return True

    def _comma(self, character: str, _following: str) -> bool:
        self._drop_candidate()
        self._key_allowed = True
        self._add(character, 1)
        return True

    def _entry(self, character: str, following: str) -> bool:
        if following not in BLANK_OR_END:
            return self._plain(character, following)
        if not self._in_flow:
            if not self._key_allowed:
                raise self._cursor.error("block sequence entries are not allowed in this context")
            self._roll(self._cursor.column, "sequence")
        self._drop_candidate()
        self._key_allowed = True
        self._add(character, 1)
        return True

    def _key(self, character: str, following: str) -> bool:
        if not self._in_flow:
            if following not in BLANK_OR_END:
                return self._plain(character, following)
            if not self._key_allowed:
                raise self._cursor.error("mapping keys are not allowed in this context")
            self._roll(self._cursor.column, "mapping")
        self._drop_candidate()
        self._key_allowed = not self._in_flow
        self._add(character, 1)
        return True

    def _value(self, character: str, following: str) -> bool:
        if not self._in_flow and following not in BLANK_OR_END:
            return self._plain(character, following)
        candidate = self._candidates[-1]
        if candidate is not None and self._is_valid(self._in_flow):
            self._insert(candidate.number, Token("?", candidate.line))
            self._roll(candidate.column, "mapping", at=candidate.number, line=candidate.line)
            self._candidates[-1] = None
            self._by_number.pop(candidate.number, None)
            self._key_allowed = False
        else:
            if not self._in_flow:
                if not self._key_allowed:
                    raise self._cursor.error("mapping values are not allowed in this context")
                self._roll(self._cursor.column, "mapping")
            self._key_allowed = not self._in_flow
        self._add(character, 1)
        return True

    def _name(self, character: str, _following: str) -> bool:
        self._save_candidate()
        self._key_allowed = False
        self._add("anchor" if character == "&" else "alias", value=anchor(self._cursor))
        return True

    def _tag(self, _character: str, _following: str) -> bool:
        self._save_candidate()
        self._key_allowed = False
        handle, suffix = tag(self._cursor)
        self._add("tag", value=handle, more=suffix)
        return True

    def _block(self, _character: str, _following: str) -> bool:
        if self._in_flow:
            return False
        self._drop_candidate()
        self._key_allowed = True
        line = self._cursor.line
        self._tokens.append(Token("scalar", line, scalars.block(self._cursor, self._indent)))
        return True

    def _quoted(self, _character: str, _following: str) -> bool:
        self._save_candidate()
        self._key_allowed = False
        line = self._cursor.line
        self._tokens.append(Token("scalar", line, scalars.quoted(self._cursor)))
        return True

    def _plain(self, character: str, following: str) -> bool:
        if character in _NO_PLAIN and (character != "-" or following in BLANKS):
            if self._in_flow or character not in "?:" or following in BLANK_OR_END:
                return False
        elif character in BLANKS:
            return False
        self._save_candidate()
        self._key_allowed = False
        line = self._cursor.line
        value, broken = scalars.plain(self._cursor, self._indent + 1, in_flow=bool(self._in_flow))
        self._tokens.append(Token("plain", line, value))
        self._key_allowed = broken
        return True

    def _too_deep(self) -> YamlError:
        return TooDeep(
            f"the document is nested more than {self._depth} levels deep",
            detail="error converting YAML to JSON: yaml: exceeded max depth of 10000",
        )

    _FETCHERS: ClassVar[Mapping[str, Callable[[Scanner, str, str], bool]]] = {
        "[": _open,
        "{": _open,
        "]": _close,
        "}": _close,
        ",": _comma,
        "-": _entry,
        "?": _key,
        ":": _value,
        "*": _name,
        "&": _name,
        "!": _tag,
        "|": _block,
        ">": _block,
        "'": _quoted,
        '"': _quoted,
    }
