"""The image, built and started without a container engine, on Linux as root:

``python -m tests.image.rehearse --into FOLDER [--python PREFIX] [--system DEBIAN]``

The build stage of the Dockerfile is carried out word for word, on a layer over ``DEBIAN``, or over this machine's own
files, in which ``/usr/local`` is ``PREFIX``, a Python of the version that the base image has. What it leaves in
``/rootfs`` goes to ``FOLDER/rootfs``, and is started there as the image's user, with everything read-only, against the
sandbox's API server. Prints a JSON line per step.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support import dockerfile
from tests.support.cluster import Cluster, running_cluster
from tests.support.operator import Operator, eventually, ready_condition
from tests.support.processes import ROOT, Process

QUICKSTART = ROOT / "docs" / "examples" / "quickstart.yaml"

_ADDRESSES = ("--metrics-addr=127.0.0.1:0", "--live-addr=127.0.0.1:0")
_PATH = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"


def build(into: Path, python: Path, system: Path) -> None:
    """Carry out the build stage; needs a mount namespace of its own."""
    layer = into / "layer"
    layer.mkdir()
    _run("mount", "-t", "tmpfs", "tmpfs", str(layer))
    upper, work, merged = (layer / name for name in ("upper", "work", "merged"))
    for folder in (upper, work, merged):
        folder.mkdir()
    _run("mount", "-t", "overlay", "-o", f"lowerdir={system},upperdir={upper},workdir={work}", "overlay", str(merged))
    for source, target in (("/proc", "proc"), ("/dev", "dev"), (str(python), "usr/local")):
        _run("mount", "--rbind", source, str(merged / target))
    stage = dockerfile.parse().stages[0]
    environment = {**os.environ, **stage.pairs("ARG"), **stage.pairs("ENV"), "PATH": _PATH}
    where = merged
    for step in stage.instructions:
        began = time.monotonic()
        if step.word == "WORKDIR":
            where = merged / step.rest.lstrip("/")
            where.mkdir()
        elif step.word == "COPY":
            *sources, target = step.words
            for source in sources:
                _copy(source, where / target, into_folder=target.endswith("/"))
        elif step.word == "RUN":
            script = f"cd /{where.relative_to(merged)} && {step.rest}"
            _run("chroot", str(merged), "/bin/sh", "-c", script, environment=environment)
        else:
            continue
        _say(step=f"{step.word} {step.rest}"[:100], seconds=round(time.monotonic() - began, 1))
    shutil.copytree(merged / "rootfs", into / "rootfs", symlinks=True)
    _say(wheels=sorted(path.name for path in (merged / "dist").glob("*.whl")), rootfs_mb=_megabytes(into / "rootfs"))


def start(rootfs: Path, user: str = "", packages: Sequence[Path] = ()) -> None:
    """Start what was built as a Pod would, use it, and end it; needs a mount namespace of its own.

    With ``user``, ``UID:GID``, it runs as another user than the image's. With ``packages``, folders of Python packages
    that are not in ``rootfs``, Keyferry is taken from there.
    """
    with running_cluster(rootfs.parent) as cluster:
        server = urlsplit(cluster.url)
        _service_account(cluster, rootfs / "var/run/secrets/kubernetes.io/serviceaccount")
        beside = [(folder, rootfs / "opt" / f"packages{number}") for number, folder in enumerate(packages)]
        for path in (rootfs / "proc", rootfs / "dev", *(inside for _, inside in beside)):
            path.mkdir(parents=True, exist_ok=True)
        _run("mount", "--bind", str(rootfs), str(rootfs))
        _run("mount", "-t", "proc", "proc", str(rootfs / "proc"))
        _run("mount", "--bind", "/dev", str(rootfs / "dev"))
        for folder, inside in beside:
            _run("mount", "--bind", "-o", "ro", str(folder), str(inside))
        _run("mount", "-o", "remount,bind,ro", str(rootfs))
        operator = Operator("")
        pod = {"KUBERNETES_SERVICE_HOST": server.hostname or "", "KUBERNETES_SERVICE_PORT": str(server.port)}
        operator.process = contained = Contained(rootfs, pod, user, [f"/opt/{inside.name}" for _, inside in beside])
        began = time.monotonic()
        with operator:
            _say(ready_seconds=round(time.monotonic() - began, 2), healthz=operator.get("live", "/healthz")[0])
            cluster.kubectl.run("apply", "-f", str(QUICKSTART))
            told = eventually(lambda: _ready(cluster.kubectl.get("externalsecret", "database", "default")))
            keys = sorted((cluster.kubectl.get("secret", "database", "default") or {})["data"])
            _say(externalsecret=told["reason"], keys=keys, **contained.facts())
            _say(exit_status=operator.stop())


def _service_account(cluster: Cluster, folder: Path) -> None:
    """What a kubelet mounts into a Pod."""
    run = cluster.kubectl.run
    run("create", "serviceaccount", "keyferry", "-n", "default")
    run("create", "clusterrolebinding", "keyferry", "--clusterrole=cluster-admin", "--serviceaccount=default:keyferry")
    authority = "jsonpath={.clusters[0].cluster.certificate-authority-data}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ca.crt").write_bytes(base64.b64decode(run("config", "view", "--raw", "--minify", "-o", authority)))
    (folder / "token").write_text(run("create", "token", "keyferry", "-n", "default").strip(), "utf-8")
    (folder / "namespace").write_text("default", "utf-8")


class Contained(Process):
    """The image's entry point, with the image's user, environment and files, and no others."""

    def __init__(self, rootfs: Path, pod: Mapping[str, str], user: str, packages: Sequence[str]) -> None:
        super().__init__("keyferry")
        image = dockerfile.parse().stages[-1]
        (own,), (entry,) = image.all("USER"), image.all("ENTRYPOINT")
        # The image's own user is in its /etc/passwd, and needs neither of these.
        dropped = set() if user else {"HOME", "USER"}
        given = {**image.pairs("ENV"), **pod}
        command = entry.words
        if packages:
            given["PYTHONPATH"] = ":".join(packages)
            command = [f"{sys.base_prefix}/bin/python3", "-m", "keyferry"]
        environment = [f"{name}={value}" for name, value in given.items() if name not in dropped]
        setpriv, chroot = (shutil.which(name) or name for name in ("setpriv", "chroot"))
        place = (setpriv, "--no-new-privs", chroot, f"--userspec={user or own.rest}", "--groups=", str(rootfs))
        self._command = ["env", "-i", *environment, *place, *command, *image.all("CMD")[0].words, *_ADDRESSES]

    def facts(self) -> dict[str, str]:
        """User and privileges that the kernel tells of the process."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text("utf-8").splitlines()
        told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        return {name: told[name] for name in ("Uid", "Groups", "CapEff", "NoNewPrivs")}


def main() -> int:
    """Both, each in a mount namespace, so that nothing stays mounted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True, help="a new folder, some 500 MB")
    parser.add_argument("--python", type=Path, default=Path(sys.base_prefix), help="what is /usr/local in the base")
    parser.add_argument("--system", type=Path, default=Path("/"), help="what is / in the base: a Debian")
    parser.add_argument("--user", default="", help="UID:GID, instead of the image's")
    parser.add_argument("--packages", type=Path, nargs="*", default=[], help="with --step start: where Keyferry is")
    parser.add_argument("--step", choices=("all", "build", "start"), default="all")
    given = parser.parse_args()
    if given.step != "all":
        into = given.into.resolve()
        if given.step == "build":
            build(into, given.python.resolve(), given.system.resolve())
        else:
            start(into / "rootfs", given.user, given.packages)
        return 0
    given.into.mkdir(parents=True)
    for step in ("build", "start"):
        again = (sys.executable, "-m", "tests.image.rehearse", *sys.argv[1:], "--step", step)
        _run("unshare", "--mount", "--propagation", "private", *again)
    return 0


def _copy(source: str, target: Path, *, into_folder: bool) -> None:
    patterns = dockerfile.ignored()
    listed = sorted(path for path in (ROOT / source, *(ROOT / source).rglob("*")) if path.is_file())
    for path in listed:
        name = path.relative_to(ROOT).as_posix()
        if dockerfile.sent(patterns, name):
            inside = path.name if path == ROOT / source else path.relative_to(ROOT / source).as_posix()
            place = target / inside if into_folder or path != ROOT / source else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def _ready(body: dict[str, Any] | None) -> Any:
    told = ready_condition(body)
    return told if told.get("status") == "True" else None


def _megabytes(folder: Path) -> float:
    sizes = (path.lstat().st_size for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    return round(sum(sizes) / 1e6, 1)


def _run(*command: str, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, env=environment, capture_output=command[0] == "chroot", text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}: status {done.returncode}\n{done.stdout or ''}{done.stderr or ''}")


def _say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
