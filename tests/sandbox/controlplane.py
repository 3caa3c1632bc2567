"""A real control plane on loopback: etcd and kube-apiserver, as envtest starts them.

The folder is the one `KUBEBUILDER_ASSETS` names. There is no controller manager unless asked for, so
garbage is not collected and namespaces do not go away: what depends on that needs
`controllers=True` and a `kube-controller-manager` in the same folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import secrets
import shutil
import socket
import ssl
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .kubeapi.tls import Authority, kubeconfig

ISSUER = "https://kubernetes.default.svc.cluster.local"
# Who asked for what, of ServiceAccounts only: the rights of a profile are compared with it.
_AUDIT = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    userGroups: ["system:serviceaccounts"]
  - level: None
"""


def _free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found.append(int(probe.getsockname()[1]))
        return found


class ControlPlane:
    """`async with ControlPlane(assets) as plane` has the attributes of KubeApi."""

    def __init__(self, assets: Path | str, *, controllers: bool = False, admission: str = "") -> None:
        """``admission``: plugins beside those that are on by default, separated by commas."""
        self.assets = Path(assets)
        self.controllers = controllers
        self.admission = admission
        self.admin_token = secrets.token_urlsafe(24)
        self.authority = Authority()
        self.ca_pem = self.authority.pem
        self.port = 0
        self.folder = Path()
        self._processes: list[asyncio.subprocess.Process] = []

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def audit(self) -> Path:
        """The audit log: JSON lines, without bodies."""
        return self.folder / "audit.log"

    def kubeconfig_path(self, folder: Path | str, certificate: bool = False) -> Path:
        pair = self.authority.issue("kubernetes-admin", ("system:masters",))
        text = kubeconfig(
            self.url,
            self.ca_pem,
            token="" if certificate else self.admin_token,
            pair=pair if certificate else None,
        )
        path = Path(folder, "kubeconfig")
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    async def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="controlplane-"))
        store, peer, self.port = _free_ports(3)
        self._write_files()
        await self._spawn(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{store}",
            f"--advertise-client-urls=http://127.0.0.1:{store}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            # Durability is worth nothing here, and syncing is what makes etcd slow.
            "--unsafe-no-fsync",
        )
        gates = [] if await self._reports_progress() else ["--feature-gates=WatchList=false"]
        await self._spawn(
            "kube-apiserver",
            *gates,
            f"--etcd-servers=http://127.0.0.1:{store}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={self.folder / 'server.crt'}",
            f"--tls-private-key-file={self.folder / 'server.key'}",
            f"--client-ca-file={self.folder / 'ca.crt'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self.folder / 'accounts.key'}",
            f"--service-account-signing-key-file={self.folder / 'accounts.key'}",
            "--authorization-mode=RBAC",
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self.audit}",
            "--disable-admission-plugins=ServiceAccount",
            f"--enable-admission-plugins={self.admission}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged=true",
        )
        await self._ready()
        if self.controllers:
            await self._start_controllers()

    async def _start_controllers(self) -> None:
        path = self.kubeconfig_path(self.folder)
        await self._spawn(
            "kube-controller-manager",
            f"--kubeconfig={path}",
            f"--root-ca-file={self.folder / 'ca.crt'}",
            f"--service-account-private-key-file={self.folder / 'accounts.key'}",
            "--leader-elect=false",
            "--secure-port=0",
            "--controllers=garbage-collector-controller,namespace-controller,"
            "serviceaccount-controller,root-ca-certificate-publisher-controller,"
            "clusterrole-aggregation-controller",
        )

    async def _reports_progress(self) -> bool:
        """Can this etcd answer progress requests? Older ones (Debian's 3.4.23, say) cannot, and
        kube-apiserver then breaks every watch that sends initial events unless told not to try.
        """
        process = await asyncio.create_subprocess_exec(
            str(self.assets / "etcd"), "--version", stdout=asyncio.subprocess.PIPE
        )
        text = (await process.communicate())[0].decode()
        match = re.search(r"etcd Version: (\d+)\.(\d+)\.(\d+)", text)
        if match is None:
            return True
        version = (int(match[1]), int(match[2]), int(match[3]))
        return version >= (3, 5, 13) or (3, 4, 31) <= version < (3, 5, 0)

    def _write_files(self) -> None:
        certificate, key = self.authority.issue("127.0.0.1", server=True)
        accounts = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        for name, text in (
            ("ca.crt", self.ca_pem),
            ("server.crt", certificate),
            ("server.key", key),
            ("accounts.key", accounts.decode()),
            ("audit.yaml", _AUDIT),
            ("tokens.csv", f'{self.admin_token},kubernetes-admin,admin,"system:masters"\n'),
        ):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(text)

    async def _spawn(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes.append(
                await asyncio.create_subprocess_exec(
                    str(self.assets / name),
                    *arguments,
                    stdout=log,
                    stderr=asyncio.subprocess.STDOUT,
                    cwd=self.folder,
                    # kube-apiserver tries the pod's own token when it finds these.
                    env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
                )
            )

    async def _ready(self, seconds: float = 90.0) -> None:
        context = ssl.create_default_context(cadata=self.ca_pem)
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(ssl=context)) as session,
        ):
            while True:
                for process in self._processes:
                    if process.returncode is not None:
                        raise RuntimeError(self._last_words())
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/readyz") as answer:
                        ready = answer.status == 200
                    # The bootstrap roles come after readiness in some releases.
                    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin"
                    if ready:
                        async with session.get(self.url + path) as answer:
                            if answer.status == 200 and await self._has_default(session):
                                return
                await asyncio.sleep(0.1)

    async def _has_default(self, session: aiohttp.ClientSession) -> bool:
        async with session.get(f"{self.url}/api/v1/namespaces/default") as answer:
            return bool(answer.status == 200 and json.loads(await answer.read()))

    def _last_words(self) -> str:
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{p.name}: {p.read_text(errors='replace')[-2000:]}" for p in logs)

    async def stop(self) -> None:
        """End what was started here, by its process, youngest first."""
        for process in reversed(self._processes):
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                try:
                    async with asyncio.timeout(10):
                        await process.wait()
                except TimeoutError:
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()
        self._processes.clear()
        if self.folder.name.startswith("controlplane-"):
            shutil.rmtree(self.folder, ignore_errors=True)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()
