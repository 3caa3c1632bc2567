"""``spec.provider.gitlab``: the fields of ESO's CRD."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from keyferry.api.common import CAProvider, Model, Rule, SecretKeySelector

DEFAULT_URL = "https://gitlab.com"


class GitlabSecretRef(Model):
    access_token: SecretKeySelector | None = None
    """Where a personal, project or group access token is kept."""


class GitlabAuth(Model):
    secret_ref: GitlabSecretRef = Field(alias="SecretRef")
    """Log in with an access token."""


class GitlabConfig(Model):
    """GitLab: CI/CD variables of a project, and of groups."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.projectID) && self.projectID != '') || (has(self.groupIDs) && self.groupIDs.size() > 0)",
            "projectID and groupIDs must not both be empty",
        ),
        Rule(
            "!has(self.inheritFromGroups) || !self.inheritFromGroups || !has(self.groupIDs)"
            " || self.groupIDs.size() == 0",
            "defining groupIDs and inheritFromGroups = true is not allowed",
        ),
    )

    url: str | None = None
    """Address of the GitLab instance. Default: https://gitlab.com."""
    auth: GitlabAuth
    """How to log in."""
    project_id: str | None = Field(default=None, alias="projectID")
    """Number or full path of the project whose variables are read."""
    inherit_from_groups: bool | None = None
    """Read the variables of all groups above the project too, the nearest group first."""
    group_ids: list[str] | None = Field(default=None, alias="groupIDs")
    """Numbers or full paths of groups whose variables are read where the project has none; the last one wins."""
    environment: str | None = None
    """Environment whose variables are read. A variable for all environments serves where there is none for it."""
    ca_bundle: Annotated[str, Field(json_schema_extra={"format": "byte"})] | None = None
    """PEM of the authorities that may have signed the server's certificate. Wins over caProvider."""
    ca_provider: CAProvider | None = None
    """Where these authorities are kept in the cluster. With neither, the system's authorities are trusted."""
