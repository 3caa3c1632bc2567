"""Paths with slashes. The ``os`` functions are the same: ESO runs on Linux."""

from __future__ import annotations

from keyferry.shape.gotmpl.registry import Registry

REGISTRY = Registry()


@REGISTRY.add("base osBase", "func(string) string")
def base(path: str) -> str:
    """The last element; ``.`` for an empty path, ``/`` for one of slashes only."""
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


@REGISTRY.add("dir osDir", "func(string) string")
def directory(path: str) -> str:
    """All but what is behind the last slash, cleaned."""
    return clean("".join(path.rpartition("/")[:2]))


@REGISTRY.add("ext osExt", "func(string) string")
def extension(path: str) -> str:
    """From the last dot of the last element on; empty where there is none."""
    _, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return dot + suffix if dot else ""


@REGISTRY.add("isAbs osIsAbs", "func(string) bool")
def is_absolute(path: str) -> bool:
    return path.startswith("/")


@REGISTRY.add("clean osClean", "func(string) string")
def clean(path: str) -> str:
    """The shortest path that means the same, by its text alone."""
    root = "/" if path.startswith("/") else ""
    kept: list[str] = []
    for element in path.split("/"):
        if element in {"", "."}:
            continue
        if element != "..":
            kept.append(element)
        elif kept and kept[-1] != "..":
            kept.pop()
        elif not root:
            kept.append("..")
    return root + "/".join(kept) or "."
