"""Which hosts a store talks to: its vault, and where it logs in.

Who may read a vault is shown by a token, and whoever receives a token can use it elsewhere. So a vault has to be below
the domain of its cloud, and an identity that is Keyferry's own goes only where Microsoft or an administrator says.
Endpoints are those that the clouds publish.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from keyferry.addresses import Addresses
from keyferry.errors import BadSpec
from keyferry.providers.azurekv.config import AzureKVConfig, CustomCloud
from keyferry.transport import server_url


@dataclass(frozen=True, slots=True)
class _Cloud:
    authority: str
    domains: tuple[str, ...]
    """Domains of vaults and of managed HSMs; also the host of what their tokens are for."""


_CLOUDS = {
    "PublicCloud": _Cloud("https://login.microsoftonline.com", ("vault.azure.net", "managedhsm.azure.net")),
    "USGovernmentCloud": _Cloud(
        "https://login.microsoftonline.us", ("vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net")
    ),
    "ChinaCloud": _Cloud("https://login.chinacloudapi.cn", ("vault.azure.cn", "managedhsm.azure.cn")),
}
_DOMAINS = frozenset(domain for cloud in _CLOUDS.values() for domain in cloud.domains)
_AUTHORITIES = frozenset((*(cloud.authority for cloud in _CLOUDS.values()), "https://login.partner.microsoftonline.cn"))
"""Hosts of Microsoft to log in to."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where one store reads and logs in."""

    vault: str
    """Scheme, host and port of the vault."""
    domain: str
    """The domain that the vault is below; "" where a custom cloud does not say it."""
    authority: str
    """Address to log in at, without a final slash."""

    @property
    def hsm(self) -> bool:
        """Whether it is a managed HSM, which holds keys only."""
        return self.domain.startswith("managedhsm.")

    @property
    def known(self) -> bool:
        """Whether all hosts are Microsoft's."""
        return self.authority in _AUTHORITIES and self.domain in _DOMAINS

    @property
    def audience(self) -> str:
        """The only domain that tokens may be for; "" where only the vault can say it."""
        return self.domain if self.domain in _DOMAINS else ""


def places(config: AzureKVConfig, addresses: Addresses) -> Places:
    """The hosts of a store.

    Raises ``BadSpec`` for an address that is none, or that is not the cloud's; ``Denied`` for one that ``addresses``
    keeps from the store. Names are judged when they are resolved.
    """
    custom = config.custom_cloud_config
    cloud = _cloud(config, custom)
    host, origin = _vault(config.vault_url)
    for each in (host, urlsplit(cloud.authority).hostname or ""):
        addresses.check_literal(each)
    domains = (*_domains(custom), *cloud.domains)
    domain = next((each for each in domains if host.endswith(f".{each}")), "")
    if domains and not domain:
        raise BadSpec(
            f'vaultUrl: "{host}" is no vault of {config.environment_type}, which are below {" or ".join(domains)}',
            remedy="check vaultUrl and environmentType; name other domains in customCloudConfig.keyVaultDNSSuffix",
        )
    return Places(vault=origin, domain=domain, authority=cloud.authority)


def _cloud(config: AzureKVConfig, custom: CustomCloud | None) -> _Cloud:
    if custom is None and config.environment_type == "AzureStackCloud":
        raise BadSpec("environmentType AzureStackCloud has no endpoints of its own", remedy="set customCloudConfig")
    if custom is None and config.environment_type == "GermanCloud":
        raise BadSpec(
            "environmentType GermanCloud: Azure Germany was closed on 29 October 2021",
            remedy="use the cloud that the vault was moved to, or set customCloudConfig",
        )
    known = _CLOUDS.get(config.environment_type)
    if custom is None and known is not None:
        return known
    domains = known.domains if known else ()
    return _Cloud(_authority(custom.active_directory_endpoint if custom else ""), domains)


def _authority(endpoint: str) -> str:
    where = "customCloudConfig.activeDirectoryEndpoint"
    parts = server_url(endpoint, where=where)
    if parts.scheme != "https":
        raise BadSpec(f"{where} is not https", remedy="credentials are sent there: give it as https://")
    return f"https://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def _domains(custom: CustomCloud | None) -> tuple[str, ...]:
    if custom is None:
        return ()
    suffix = (custom.key_vault_dns_suffix or "").strip().strip(".").lower()
    if suffix:
        return (suffix,)
    if not custom.key_vault_endpoint:
        return ()
    return (server_url(custom.key_vault_endpoint, where="customCloudConfig.keyVaultEndpoint").hostname or "",)


def _vault(url: str) -> tuple[str, str]:
    """Host and origin of a vault's address."""
    parts = server_url(url, where="vaultUrl")
    if parts.scheme != "https":
        raise BadSpec("vaultUrl is not https", remedy="tokens are sent there: give it as https://")
    if parts.path.strip("/"):
        raise BadSpec(f'vaultUrl has a path, "{parts.path}"', remedy="end it with the host")
    host = parts.hostname or ""
    port = f":{parts.port}" if parts.port not in {None, 443} else ""
    return host, f"https://{f'[{host}]' if ':' in host else host}{port}"


def host_of(url: str) -> str:
    """Scheme, host and port of an address, as error texts name it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
