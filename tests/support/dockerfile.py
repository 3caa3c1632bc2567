"""A Dockerfile as its instructions, with what the build needs of it without a container engine."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.processes import ROOT

DOCKERFILE = ROOT / "Dockerfile"


@dataclass(frozen=True)
class Instruction:
    """A line: ``RUN``, its flags without their dashes, and the rest."""

    word: str
    flags: tuple[str, ...]
    rest: str

    @property
    def pairs(self) -> dict[str, str]:
        """``NAME=value`` pairs of ARG, ENV and LABEL; an ARG without a value has none."""
        found = re.findall(r'([\w.]+)=("[^"]*"|\S*)', self.rest)
        return {name: value.strip('"') for name, value in found}

    @property
    def words(self) -> list[str]:
        """Words of the rest, be it in exec form or not."""
        return list(json.loads(self.rest)) if self.rest.startswith("[") else self.rest.split()


@dataclass(frozen=True)
class Stage:
    """A ``FROM`` and what follows it."""

    base: str
    name: str = ""
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        """The instructions of this word."""
        return [each for each in self.instructions if each.word == word]

    def pairs(self, word: str) -> dict[str, str]:
        """All pairs of ARG, ENV or LABEL."""
        return {name: value for each in self.all(word) for name, value in each.pairs.items()}


@dataclass(frozen=True)
class Dockerfile:
    """Stages, and the ARGs before the first one."""

    arguments: dict[str, str]
    stages: list[Stage]


def parse(path: Path = DOCKERFILE) -> Dockerfile:
    """The Dockerfile."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if not line.strip():
            continue
        word, *rest = line.split()
        flags = [each.removeprefix("--") for each in rest if each.startswith("--")] if word in {"COPY", "RUN"} else []
        flags = flags[: next((at for at, each in enumerate(rest) if not each.startswith("--")), len(rest))]
        made = Instruction(word, tuple(flags), " ".join(rest[len(flags) :]))
        if word == "FROM":
            base, *named = rest
            stages.append(Stage(base, name=named[-1] if named else ""))
        elif stages:
            stages[-1].instructions.append(made)
        else:
            arguments |= made.pairs
    return Dockerfile(arguments, stages)


def sent(patterns: Sequence[str], name: str) -> bool:
    """Whether a file is sent to the engine: as .dockerignore says it, the last pattern that matches decides."""
    told = True
    for pattern in patterns:
        inside = re.escape(pattern.removeprefix("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if re.fullmatch(rf"{inside}(/.*)?", name):
            told = pattern.startswith("!")
    return told


def ignored() -> list[str]:
    """The patterns of .dockerignore."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
