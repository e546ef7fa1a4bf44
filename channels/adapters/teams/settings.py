"""What connects one bot of Azure Bot Service, and the credentials of the demo that nobody has to type."""

from __future__ import annotations

import uuid

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.payloads import is_at
from channels.platforms.signatures import derive
from foundation.security import Vault

KEYS = "https://login.botframework.com/v1/.well-known/keys"
LOGIN = "https://login.microsoftonline.com"
CONNECTOR = "https://smba.trafficmanager.net/teams"
SIMULATOR = "http://127.0.0.1:8765"


class TeamsSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise app id, secret and tenant are needed together."""

    model_config = ConfigDict(frozen=True)

    app_id: str = Field("", description="Microsoft App ID of the bot.")
    app_secret: SecretStr = Field(SecretStr(""), description="Client secret of the app registration.")
    tenant_id: str = Field(
        "",
        description="Directory (tenant) ID of a single-tenant app; botframework.com for an old multi-tenant one.",
    )
    issuer: str = Field(
        "https://api.botframework.com",
        description="Who signs the calls; other for government and China clouds.",
    )
    keys_url: str = Field(KEYS, description="Where the signing keys of the calls are published.")
    login_base: str = Field(LOGIN, description="Where access tokens are issued.")
    scope: str = Field(
        "https://api.botframework.com/.default", description="Of the access token for replies."
    )
    api_base: str = Field(CONNECTOR, description="Connector for conversations that we begin.")
    service_hosts: str = Field(
        "smba.trafficmanager.net, *.botframework.com",
        description="Hosts that may get our access token, with commas; a call that names another is refused.",
    )
    media_hosts: str = Field(
        "*.sharepoint.com", description="Hosts from which files of customers are fetched, with commas."
    )
    require_service_url: bool = Field(
        True, description="Refuse calls whose token does not name the address to reply to."
    )

    @model_validator(mode="after")
    def _complete(self) -> TeamsSettings:
        credentials.require_together(self, "app_id", "app_secret", "tenant_id")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.app_id

    @property
    def is_local(self) -> bool:
        """The simulator stands in for the whole platform."""
        return credentials.is_local(self.api_base)

    def or_demo(self, vault: Vault) -> TeamsSettings:
        """These settings where they name a bot; otherwise the demo's, changed by what else is set here. At the simulator's
        address keys and tokens come from there as well."""
        found = credentials.or_demo(self, demo_settings(vault), named="app_id")
        if not found.is_local:
            return found
        base = found.api_base.rstrip("/")
        local = {"keys_url": f"{base}/v1/.well-known/keys", "login_base": base}
        return found.model_copy(
            update={name: value for name, value in local.items() if name not in credentials.chosen(self)}
        )

    def serves(self, url: str) -> bool:
        """Whether our access token may go to this address."""
        if url.rstrip("/") == self.api_base.rstrip("/"):
            return True
        return is_at(url, self.service_hosts)


def demo_settings(vault: Vault) -> TeamsSettings:
    """Equal for the server and the simulator of one installation."""
    return TeamsSettings(
        app_id=str(uuid.UUID(derive(vault, "teams", "app")[:32])),
        app_secret=SecretStr(derive(vault, "teams", "app secret")[:40]),
        tenant_id=str(uuid.UUID(derive(vault, "teams", "tenant")[:32])),
        api_base=SIMULATOR,
    )
