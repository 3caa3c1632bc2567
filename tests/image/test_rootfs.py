"""The image's file system, put together from this machine's Python, and started where root may."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.support.processes import ROOT

SCRIPT = ROOT / ".image" / "rootfs.py"
pytestmark = pytest.mark.skipif(shutil.which("ldd") is None, reason="images are put together on Linux")

EPOCH = 1_700_000_000
ABSENT = {"sspilib"}
"""Packages of the lock that are for Windows."""
ENVIRONMENT: dict[str, Any] = {"bomFormat": "CycloneDX", "components": [], "dependencies": []}


def load() -> Any:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("rootfs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def may_mount() -> bool:
    """Whether this process may make a mount namespace, which root in a container may not."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


rootfs = load()


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a program of this name, a shell script, before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    def put(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)

    return put


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script makes of this Python and a folder with one module."""
    into = tmp_path_factory.mktemp("image")
    (into / "app").mkdir()
    (into / "app" / "greeting.py").write_text("def greet():\n    return 'hello'\n", "utf-8")
    (into / "environment.json").write_text(json.dumps(ENVIRONMENT), "utf-8")
    subprocess.run(
        [sys.executable, SCRIPT, "--sbom", into / "environment.json", into / "rootfs", into / "app"],
        check=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
    )
    return into


def test_links_stay_links_and_what_they_lead_to_comes_along(tmp_path: Path) -> None:
    source = (tmp_path / "source").resolve()
    (source / "usr/lib").mkdir(parents=True)
    (source / "lib").symlink_to("usr/lib")
    (source / "usr/lib/libx.so.1.2").write_text("x", "utf-8")
    (source / "usr/lib/libx.so").symlink_to("libx.so.1.2")
    made = rootfs.Rootfs(tmp_path / "rootfs")
    made.root.mkdir()
    made.take(source / "lib/libx.so")
    inside = made.at(source)
    assert (inside / "lib").readlink() == Path("usr/lib")
    assert (inside / "lib/libx.so").readlink() == Path("libx.so.1.2")
    assert (inside / "lib/libx.so").read_text("utf-8") == "x"
    assert made.origins == {source / "usr/lib/libx.so.1.2"}


def test_a_library_that_is_missing_ends_the_build_with_its_name(program: Callable[[str, str], None]) -> None:
    program("ldd", r"printf '\tlibgone.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x0000)\n'")
    with pytest.raises(SystemExit, match=r"^not found: libgone\.so\.1$"):
        rootfs.libraries([Path(sys.executable)])


def test_packages_of_debian_are_told_with_their_records(program: Callable[[str, str], None]) -> None:
    # One file is known by its old path only, another belongs to two packages, a third to none.
    program(
        "dpkg-query",
        "case $1 in\n"
        "--search) echo 'libold:amd64: /lib/libold.so'; echo 'one, two: /usr/lib/both'; exit 1 ;;\n"
        r'--status) printf "Package: %s\nArchitecture: amd64\nVersion: 1:2.0+b1\n" "$2" ;;'
        "\nesac",
    )
    records = rootfs.packages([Path("/usr/lib/libold.so"), Path("/usr/lib/both"), Path("/opt/none")])
    assert set(records) == {"libold", "one", "two"}
    assert "Version: 1:2.0+b1" in records["libold"]
    purls = [each["purl"] for each in rootfs.components(records)]
    assert purls[0] == f"pkg:generic/python@{'.'.join(map(str, sys.version_info[:3]))}"
    assert purls[1].startswith("pkg:deb/debian/libold@1%3A2.0%2Bb1?arch=amd64&distro=")


def test_compiled_modules_hold_no_time_and_the_paths_of_the_image(made: Path) -> None:
    app = rootfs.Rootfs(made / "rootfs").at(made / "app")
    (compiled,) = (app / "__pycache__").glob("greeting.*.pyc")
    content = compiled.read_bytes()
    # PEP 552: the first flag says that a hash stands where a time would, the second that it is not looked at.
    assert int.from_bytes(content[4:8], "little") == 0b01
    code = marshal.loads(content[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == str(made / "app" / "greeting.py")


def test_every_file_has_the_time_that_was_asked_for(made: Path) -> None:
    times = {path.lstat().st_mtime for path in (made / "rootfs").rglob("*")}
    assert times == {EPOCH}


def test_there_is_no_shell_no_installer_and_nothing_setuid(made: Path) -> None:
    paths = list((made / "rootfs").rglob("*"))
    names = {path.name for path in paths}
    assert names & {"sh", "bash", "busybox", "apt-get", "dpkg-query", "pip", "ensurepip", "perl"} == set()
    assert not [path for path in paths if path.is_file() and path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)]
    assert "encodings" in names


def test_the_sbom_names_what_is_no_python_package(made: Path) -> None:
    bom = json.loads((made / "rootfs" / rootfs.SBOM).read_text("utf-8"))
    refs = [each["bom-ref"] for each in bom["components"]]
    assert refs[0].startswith("pkg:generic/python@3.")
    assert [each["ref"] for each in bom["dependencies"]] == refs
    recorded = {path.name for path in (made / "rootfs/var/lib/dpkg").rglob("*") if path.is_file()}
    assert {each["name"] for each in bom["components"][1:]} == recorded


@pytest.fixture(scope="module")
def runnable(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A folder with a copy of the file system, and where packages are: the wheel, unpacked, and this environment.

    What the packages of the environment are linked with is added to the copy.
    """
    into = tmp_path_factory.mktemp("run")
    shutil.copytree(made / "rootfs", into / "rootfs", symlinks=True)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(into.glob("*.whl"))) as wheel:
        wheel.extractall(into / "keyferry")
    environment = Path(sysconfig.get_path("platlib"))
    lock = (ROOT / ".lock" / "run.txt").read_text("utf-8")
    names = [name for name in re.findall(r"^([a-z0-9._-]+)==", lock, re.MULTILINE) if name not in ABSENT]
    files = [environment / file for name in names for file in metadata.files(name) or () if file.suffix == ".so"]
    image = rootfs.Rootfs(into / "rootfs")
    for library in rootfs.libraries(files):
        if not library.is_relative_to(environment):
            image.take(library)
    return into, [into / "keyferry", environment]


@pytest.mark.skipif(not may_mount(), reason="mounting and changing the user takes root on Linux")
@pytest.mark.parametrize(
    ("flags", "user"),
    [([], "65532"), (["--user", "1000660000:0"], "1000660000")],
    ids=["the image's user, without HOME", "a user that OpenShift chooses"],
)
def test_the_operator_runs_read_only_without_privileges(
    runnable: tuple[Path, list[Path]], flags: list[str], user: str
) -> None:
    into, packages = runnable
    own = ("KUBEBUILDER_ASSETS", "KEYFERRY_TEST_KUBECONFIG")
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.image.rehearse"),
            *("--into", str(into), "--step", "start", *flags, "--packages", *map(str, packages)),
        ],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in own},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: dict[str, Any] = {}
    for line in done.stdout.splitlines():
        said |= json.loads(line)
    assert said["healthz"] == 200
    assert (said["externalsecret"], said["keys"]) == ("SecretSynced", ["password"])
    assert said["Uid"].split() == [user] * 4
    assert (said["Groups"].strip(), int(said["CapEff"], 16), said["NoNewPrivs"]) == ("", 0, "1")
    assert said["exit_status"] == 0
