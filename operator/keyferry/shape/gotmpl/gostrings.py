"""Go's strings as runs of bytes: lengths, slices and searches that count bytes.

Text that is ASCII is worked on as it is; so is all text where what is searched is ASCII, which is never a part of a
character. Else a raw byte could be found inside of a character, so the bytes themselves are searched.
"""

from __future__ import annotations

from keyferry.shape.gotmpl.errors import FunctionError
from keyferry.shape.gotmpl.values import from_bytes, to_bytes

__all__ = ["contains", "has_prefix", "has_suffix", "replaced", "size", "sliced", "split"]


def size(text: str) -> int:
    """Length in bytes."""
    return len(text) if text.isascii() else len(to_bytes(text))


def sliced(text: str, start: int | None, end: int | None) -> str:
    """``text[start:end]`` in bytes. Raises ``FunctionError`` where Go panics."""
    raw = to_bytes(text)
    if end is not None and not 0 <= end <= len(raw):
        raise _out_of_range(f"[:{end}] with length {len(raw)}" if end > len(raw) else f"[:{end}]")
    last = len(raw) if end is None else end
    if start is not None and start > last:
        raise _out_of_range(f"[{start}:{last}]")
    return from_bytes(raw[start:last])


def _out_of_range(what: str) -> FunctionError:
    return FunctionError(
        "the text is shorter than the positions ask for",
        detail=f"runtime error: slice bounds out of range {what}",
    )


def contains(text: str, part: str) -> bool:
    return part in text if part.isascii() else to_bytes(part) in to_bytes(text)


def has_prefix(text: str, prefix: str) -> bool:
    return text.startswith(prefix) if prefix.isascii() else to_bytes(text).startswith(to_bytes(prefix))


def has_suffix(text: str, suffix: str) -> bool:
    return text.endswith(suffix) if suffix.isascii() else to_bytes(text).endswith(to_bytes(suffix))


def replaced(text: str, old: str, new: str) -> str:
    """``strings.ReplaceAll``; where ``old`` is empty, ``new`` is put before each character and at the end."""
    if old.isascii():
        return text.replace(old, new)
    return from_bytes(to_bytes(text).replace(to_bytes(old), to_bytes(new)))


def split(text: str, separator: str, limit: int = -1) -> list[str]:
    """``strings.SplitN``: at most ``limit`` pieces, all where it is negative; the last one is all the rest."""
    if not limit:
        return []
    if not separator:
        if limit < 0 or limit >= len(text):
            return list(text)
        return [*text[: limit - 1], text[limit - 1 :]]
    most = limit - 1 if limit > 0 else -1
    if separator.isascii():
        return text.split(separator, most)
    return [from_bytes(piece) for piece in to_bytes(text).split(to_bytes(separator), most)]
