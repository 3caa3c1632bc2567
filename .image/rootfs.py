"""Puts the file system of the image together: Python, Keyferry, what they are linked with, and nothing else.

Run by the Dockerfile's build stage on Debian, with the Python that is to be in the image. There is no shell, no package
manager and no setuid program in what it makes. Packages of Debian that files come from are recorded in
``/var/lib/dpkg/status.d``, where scanners of images look, and in the SBOM.
"""

# ruff: noqa: INP001 - a program of the build, no module of a package

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import py_compile
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

USER = 65532
SBOM = "usr/share/keyferry/sbom.cdx.json"
# Authorities, and where OpenSSL looks for them; where names are looked up.
SYSTEM = ("/usr/share/ca-certificates", "/usr/lib/ssl/certs", "/usr/lib/ssl/openssl.cnf", "/etc/nsswitch.conf")
# The C library loads it by name when a thread is cancelled, so that no file is linked with it.
BY_NAME = ("libgcc_s.so.1",)
# Parts of the standard library that install, test or draw.
LEFT_OUT = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "ensurepip", "idlelib", "test", "tkinter", "turtledemo", "turtle.py"),
    *("pydoc_data", "lib2to3", "config-*", "_tkinter*.so", "_test*.so", "_ctypes_test*.so", "xxlimited*.so"),
)


class Rootfs:
    """A folder that becomes the image's ``/``. Files keep the paths that they have here."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.origins: set[Path] = set()
        """Single files and folders that were taken from the system, by their real paths."""

    def at(self, path: Path | str) -> Path:
        """Where a path of the image is in this folder."""
        return self.root / str(path).lstrip("/")

    def take(self, path: Path, *, leave_out: Callable[[str, list[str]], set[str]] | None = None) -> None:
        """Copy a file or folder, and links on the way to it as links. What is there already stays."""
        here = self._folder(path.parent) / path.name
        inside = self.at(here)
        if here.is_symlink():
            self._link(here)
            self.take(Path(os.path.normpath(here.parent / here.readlink())), leave_out=leave_out)
            return
        self.origins.add(here)
        if here.is_dir():
            shutil.copytree(here, inside, symlinks=True, ignore=leave_out, dirs_exist_ok=True)
        elif not inside.exists():
            shutil.copy2(here, inside)

    def _folder(self, path: Path) -> Path:
        """The real path of a folder, made here as well."""
        if path == path.parent:
            return path
        here = self._folder(path.parent) / path.name
        if here.is_symlink():
            self._link(here)
            return self._folder(Path(os.path.normpath(here.parent / here.readlink())))
        self.at(here).mkdir(exist_ok=True)
        return here

    def _link(self, path: Path) -> None:
        if not self.at(path).is_symlink():
            self.at(path).symlink_to(path.readlink())

    def programs(self) -> Iterator[Path]:
        """Every file that the loader reads: programs and shared libraries."""
        for path in sorted(self.root.rglob("*")):
            if path.is_file() and not path.is_symlink():
                with path.open("rb") as file:
                    if file.read(4) == b"\x7fELF":
                        yield path


def libraries(programs: Sequence[Path]) -> set[Path]:
    """What the loader would load for these, the loader itself included. Ends the process where something is missing."""
    # A program without libraries makes it fail, and is fine.
    told = _said("ldd", *map(str, programs), check=False)
    missing = sorted(set(re.findall(r"^\s+(\S+) => not found", told, re.MULTILINE)))
    if missing:
        sys.exit(f"not found: {', '.join(missing)}")
    return {Path(name) for name in re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", told, re.MULTILINE)}


def packages(files: Iterable[Path]) -> dict[str, str]:
    """The Debian packages that files belong to, each with its record; empty where there is no dpkg."""
    if shutil.which("dpkg-query") is None:
        return {}
    # A path may be recorded as it was before /lib became a link to /usr/lib.
    asked = sorted({name for file in files for name in (str(file), str(file).removeprefix("/usr"))})
    owners = {
        owner
        for line in _said("dpkg-query", "--search", *asked, check=False).splitlines()
        if ": " in line and not line.startswith("diversion ")
        for owner in line.split(": ")[0].split(", ")
    }
    return {name.split(":")[0]: _said("dpkg-query", "--status", name) for name in sorted(owners)}


def components(records: dict[str, str]) -> list[dict[str, Any]]:
    """Debian packages, and Python itself, as components of a CycloneDX SBOM."""
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', Path("/etc/os-release").read_text("utf-8"), re.MULTILINE))
    python = platform.python_version()
    purl = f"pkg:generic/python@{python}"
    found = [{"type": "platform", "name": "python", "version": python, "purl": purl, "bom-ref": purl}]
    for name, record in sorted(records.items()):
        field = dict(re.findall(r"^([A-Za-z-]+): (.*)$", record, re.MULTILINE))
        purl = (
            f"pkg:deb/debian/{name}@{quote(field['Version'], safe='')}?arch={field['Architecture']}"
            f"&distro={release['ID']}-{release.get('VERSION_ID', 'sid')}"
        )
        found.append({"type": "library", "name": name, "version": field["Version"], "purl": purl, "bom-ref": purl})
    return found


def compiled(rootfs: Rootfs, folders: Iterable[Path]) -> None:
    """Compile modules, so that the same bytes come of it at any time: no times in them, and paths of the image."""
    for folder in folders:
        compileall.compile_dir(
            rootfs.at(folder),
            maxlevels=50,
            quiet=2,
            stripdir=str(rootfs.root),
            prependdir="/",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )


def main(words: Sequence[str] | None = None) -> None:
    """Make the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--sbom", type=Path, required=True)
    given = parser.parse_args(words)
    rootfs = Rootfs(given.root.resolve())
    rootfs.root.mkdir(parents=True)
    for folder in given.folders:
        rootfs.take(folder, leave_out=shutil.ignore_patterns("__pycache__"))
    _python(rootfs)
    for path in map(Path, SYSTEM):
        if path.exists():
            rootfs.take(path)
    _libraries(rootfs)
    records = packages(rootfs.origins)
    _records(rootfs, records)
    _sbom(rootfs, given.sbom, components(records))
    _users(rootfs)
    compiled(rootfs, (Path(sysconfig.get_path("stdlib")), *given.folders))
    _dated(rootfs, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))


def _python(rootfs: Rootfs) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for name in ("python", "python3", f"python{version}"):
        path = Path(sys.base_prefix) / "bin" / name
        if path.exists():
            rootfs.take(path)
    rootfs.take(Path(sysconfig.get_path("stdlib")), leave_out=LEFT_OUT)


def _libraries(rootfs: Rootfs) -> None:
    needed = libraries(list(rootfs.programs()))
    beside = {library.parent for library in needed}
    needed |= {folder / name for folder in beside for name in BY_NAME if (folder / name).exists()}
    for library in sorted(needed):
        # What a wheel or Python brings along is inside already.
        if not library.is_relative_to(rootfs.root):
            rootfs.take(library)


def _records(rootfs: Rootfs, records: dict[str, str]) -> None:
    for name, record in records.items():
        status = rootfs.at(f"var/lib/dpkg/status.d/{name}")
        status.parent.mkdir(parents=True, exist_ok=True)
        status.write_text(record, "utf-8")
        licence = Path("/usr/share/doc", name, "copyright")
        if licence.exists():
            rootfs.take(licence)
    if records:
        rootfs.take(Path("/etc/os-release"))


def _sbom(rootfs: Rootfs, environment: Path, more: list[dict[str, Any]]) -> None:
    bom = json.loads(environment.read_text("utf-8"))
    bom["components"] += more
    bom["dependencies"] += [{"ref": each["bom-ref"]} for each in more]
    path = rootfs.at(SBOM)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(bom, indent=1) + "\n", "utf-8")


def _users(rootfs: Rootfs) -> None:
    files = {"passwd": f"keyferry:x:{USER}:{USER}::/:/nonexistent\n", "group": f"keyferry:x:{USER}:\n"}
    for name, line in files.items():
        path = rootfs.at(f"etc/{name}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(line, "utf-8")
    rootfs.at("tmp").mkdir(exist_ok=True)
    rootfs.at("tmp").chmod(0o1777)


def _dated(rootfs: Rootfs, seconds: int) -> None:
    for path in (*rootfs.root.rglob("*"), rootfs.root):
        os.utime(path, (seconds, seconds), follow_symlinks=False)


def _said(*command: str, check: bool = True) -> str:
    done = subprocess.run(  # noqa: S603 - programs of the build stage, with paths that it made
        command, check=check, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}
    )
    return done.stdout


if __name__ == "__main__":
    main()
