"""Guards of the house: what every change has to leave as it is. The rules themselves are in operator/README.md."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from keyferry.app import crds
from keyferry.providers import REGISTRY

ROOT = Path(__file__).resolve().parent.parent
TOP_LEVEL = {"Dockerfile", "LICENSE", "Makefile", "README.md", "kind-config.yaml", "pyproject.toml"}
TOP_LEVEL_FOLDERS = {"charts", "crds", "docs", "operator", "tests"}
LONGEST_FILE = 350
LONGEST_SLEEP = 0.5
FEWEST_WORDS = 4

LONGER: dict[str, str] = {}
"""Test files that may be longer than the others, each with the reason."""


@cache
def committed() -> tuple[Path, ...]:
    """Every file that is committed, or would be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(path for name in sorted(listed.split("\0")) if name and (path := ROOT / name).is_file())


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of every committed file but this one, which has to spell out what it looks for."""
    for path in committed():
        if path != Path(__file__).resolve():
            yield path.relative_to(ROOT).as_posix(), path.read_text("utf-8")


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Name and text of the Python files below these folders."""
    for name, text in texts():
        if name.endswith(".py") and name.startswith(tuple(f"{folder}/" for folder in folders)):
            yield name, text


def lines_matching(pattern: str, found: Iterator[tuple[str, str]]) -> list[str]:
    """``file:line: text`` of every line that the pattern finds something in."""
    compiled = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in found
        for number, line in enumerate(text.splitlines(), 1)
        if compiled.search(line)
    ]


def goals() -> set[str]:
    """The targets of the Makefile that `make` explains."""
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


# -- layout


def test_the_top_level_holds_only_what_is_agreed() -> None:
    for path in committed():
        first, *rest = path.relative_to(ROOT).parts
        assert first.startswith(".") or first in (TOP_LEVEL_FOLDERS if rest else TOP_LEVEL), path


def test_the_source_root_never_becomes_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    subprocess.run([sys.executable, "-c", "import operator; operator.itemgetter"], cwd=ROOT, check=True)


def test_files_stay_short_enough_to_be_read_in_one_go() -> None:
    lengths = {name: text.count("\n") for name, text in sources("operator", "tests")}
    too_long = {name: length for name, length in lengths.items() if length > LONGEST_FILE and name not in LONGER}
    assert not too_long
    assert {name for name in LONGER if lengths.get(name, 0) <= LONGEST_FILE} == set(), "no longer needed in LONGER"
    assert not [name for name in LONGER if name.startswith("operator/")]


def test_no_work_is_left_for_later_in_the_sources() -> None:
    assert not lines_matching(r"\b(TODO|FIXME|XXX|HACK)\b", texts())


# -- generated files


@pytest.mark.parametrize("folder", ["crds", "charts/keyferry/files/crds"])
def test_the_crds_are_those_that_the_models_make(folder: str) -> None:
    made = {name: crds.render(definition) for name, definition in crds.definitions().items()}
    there = {path.name: path.read_text("utf-8") for path in (ROOT / folder).iterdir()}
    assert set(there) == set(made)
    assert [name for name in made if there[name] != made[name]] == []


# -- what is installed


@pytest.mark.parametrize("lock", ["run.txt", "build.txt", "dev.txt"])
def test_the_lock_has_a_hash_for_every_package_and_no_address(lock: str) -> None:
    text = (ROOT / ".lock" / lock).read_text("utf-8")
    entries = re.split(r"^(?=[a-z0-9])", text.replace("\\\n", " "), flags=re.MULTILINE)
    assert all(re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry) for entry in entries if entry)
    assert "://" not in text
    assert not re.search(r"^-|--(?!hash=)", text, re.MULTILINE)


def test_the_locks_of_image_and_tests_agree() -> None:
    def pinned(lock: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9._-]+==\S+)", (ROOT / ".lock" / lock).read_text("utf-8"), re.MULTILINE))

    assert pinned("run.txt") | pinned("build.txt") <= pinned("dev.txt")


def test_the_lock_fits_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lock = (ROOT / ".lock" / "dev.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock, re.MULTILINE))
    named = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in (*project["project"]["optional-dependencies"].values(), *project["dependency-groups"].values()):
        named += [entry for entry in group if isinstance(entry, str) and not entry.startswith("keyferry[")]
    for requirement in map(Requirement, named):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("keyferry-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = ROOT / "operator"
    wanted = {path.relative_to(source).as_posix() for path in committed() if path.is_relative_to(source / "keyferry")}
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert "keyferry/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_image_is_built_from_the_locks_and_runs_as_a_numeric_user() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE) for name in line.split()
    }
    sent = {
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"
    }
    assert all((ROOT / name).exists() for name in copied)
    assert {name.split("/")[0] for name in copied} == sent
    installs = [line for line in dockerfile.replace("\\\n", " ").splitlines() if " install " in line]
    assert all("--require-hashes" in line or "--no-deps --no-index" in line for line in installs)
    assert re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE) == ["65532:65532"]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert re.findall(r"^ARG VERSION=(.*)$", dockerfile, re.MULTILINE) == [version]


def test_the_extra_all_holds_every_other_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = re.findall(r"keyferry\[([a-z,]+)\]", " ".join(extras["all"]))
    assert set(",".join(named).split(",")) == set(extras) - {"all"}


def test_pre_commit_asks_nobody_outside() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {"ruff", "ruff-format", "mypy", "import-linter", "crds", "secrets"} <= {hook["id"] for hook in hooks}


# -- what must not be in any file


def test_no_file_names_a_place_of_one_machine() -> None:
    pattern = r"(?<![\w.\-/~}*])/(?:root|home|Users|work|workspace|opt/kubebuilder)(?:/|\b)(?!\W*\w*role)"
    assert not lines_matching(pattern, texts())


def test_no_file_names_a_registry_of_packages() -> None:
    pattern = r"pypi\.org|pythonhosted|--(?:extra-)?index-url|PIP_INDEX_URL|UV_INDEX|--find-links"
    assert not lines_matching(pattern, texts())


def test_every_exception_to_a_check_says_why() -> None:
    silent = []
    for name, text in sources("operator", "tests"):
        above = ""
        for number, line in enumerate(text.splitlines(), 1):
            marked = re.search(r"#\s*(?:ruff:\s*)?(?:noqa|type:\s*ignore)\b(?P<rest>.*)", line)
            if marked and not above.strip().startswith("#"):
                reason = re.sub(r"^(:\s*[A-Z]+[0-9]+(\s*,\s*[A-Z]+[0-9]+)*|\[[a-z, -]+\])", "", marked["rest"])
                if not re.search(r"\w", reason):
                    silent.append(f"{name}:{number}: {line.strip()}")
            above = line
    assert not silent


# -- tests


def functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, at any depth."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_names_of_tests_read_as_sentences() -> None:
    short = [
        f"{name}: {function.name}"
        for name, text in sources("tests")
        if Path(name).name.startswith("test_")
        for function in functions(text)
        if function.name.startswith("test_") and len(function.name.split("_")) < FEWEST_WORDS
    ]
    assert not short


def test_no_test_sleeps_for_a_fixed_time() -> None:
    sleepers = []
    for name, text in sources("tests"):
        # Where the loop's time is virtual, a long sleep is over at once.
        virtual = "looptime" in text or "support.virtual" in text
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not (called := ast.unparse(node.func)).endswith("sleep"):
                continue
            waits = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else 0
            if (
                isinstance(waits, int | float)
                and waits > LONGEST_SLEEP
                and not (virtual and called.startswith("async"))
            ):
                sleepers.append(f"{name}:{node.lineno}: {ast.unparse(node)}")
    assert not sleepers


# -- what people are told


def test_every_provider_has_a_page() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "providers").glob("*.md")}
    assert {name.lower() for name in REGISTRY} <= pages


def test_every_command_that_is_told_exists() -> None:
    told = {
        goal
        for name, text in texts()
        if name.endswith(".md")
        for goal in re.findall(r"(?:^|`)(?:\$ )?make ([a-z-]+)", text, re.MULTILINE)
    }
    assert {"demo", "test"} <= told
    assert told <= goals()


def test_ci_runs_the_command_that_the_readme_gives() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert script.splitlines()[0].endswith("bash")
    assert "set -euo pipefail" in script
    assert re.findall(r"^(?:exec )?(make .*)$", script, re.MULTILINE) == ["make test"]
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_make_alone_explains_every_command() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    # venv is a step of the others.
    assert set(phony[1].split()) - {"venv"} == goals()
    assert all(f"make {goal}" in shown for goal in goals())


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{name}: {target}"
        for name, text in texts()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)#\s]+)", text)
        if "://" not in target and not ((ROOT / name).parent / target).exists()
    ]
    assert not broken
