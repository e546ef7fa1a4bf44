"""What connects one mailbox, and the stand-in of the demo that nobody has to configure.

The wiring reads `EmailSettings` from HUILIU_EMAIL_…; `channel.build` and the simulator pass it through `or_demo`.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.credentials import LOCAL
from channels.platforms.signatures import derive
from foundation.security import Vault

Security = Literal["tls", "starttls", "plain"]

DEMO_ADDRESS = "care@demo.invalid"
DEMO_IMAP_PORT = 8143
DEMO_SMTP_PORT = 8025
_OAUTH = ("oauth_token_url", "oauth_client_id", "oauth_refresh_token")


class EmailSettings(BaseModel):
    """All empty: the demo's own mailbox. Otherwise address, both hosts and a password or OAuth are needed together."""

    model_config = ConfigDict(frozen=True)

    address: str = Field("", description="The address that customers write to and that answers them.")
    aliases: str = Field(
        "", description="Further addresses of this mailbox, with commas; mails from them are our own."
    )
    display_name: str = Field("", description="The name beside our address.")
    signature: str = Field("", description="Stands at the end of every mail we send.")
    username: str = Field("", description="For both servers, where it is not the address.")
    password: SecretStr = Field(
        SecretStr(""), description="Of the mailbox; many providers want an app password here."
    )
    imap_host: str = Field("", description="Where mails are read, e.g. imap.example.com.")
    imap_port: int = Field(993, ge=1, le=65535, description="993 with tls, 143 with starttls.")
    imap_security: Security = Field("tls", description="tls, starttls, or plain on this machine only.")
    smtp_host: str = Field("", description="Where replies are handed in, e.g. smtp.example.com.")
    smtp_port: int = Field(465, ge=1, le=65535, description="465 with tls, 587 with starttls.")
    smtp_security: Security = Field("tls", description="tls, starttls, or plain on this machine only.")
    folder: str = Field("INBOX", description="The folder that is read.")
    start: Literal["new", "all"] = Field(
        "new", description="At the first start: only mails from now on, or all there are."
    )
    mark_seen: bool = Field(True, description="Mark what was taken as read.")
    poll_seconds: int = Field(
        60, ge=2, le=1500, description="So often we look, also where the server tells of new mails."
    )
    longest_pause_seconds: int = Field(
        300,
        ge=1,
        le=3600,
        description="While the server is away we try again in pauses that grow up to this.",
    )
    authserv_id: str = Field(
        "",
        description="Name by which your receiving server signs Authentication-Results; empty: no sender is proven.",
    )
    answers_per_hour: int = Field(
        10,
        ge=1,
        le=1000,
        description="Mails of one conversation that are answered in an hour; more are only stored.",
    )
    mail_limit_bytes: int = Field(36_700_160, ge=65_536, description="So much of one mail is read.")
    attachment_limit_bytes: int = Field(
        20_971_520, ge=1, description="Larger attachments are named, not fetched."
    )
    oauth_token_url: str = Field(
        "", description="For providers without passwords (Microsoft 365): the token endpoint."
    )
    oauth_client_id: str = Field("", description="Of your app registration.")
    oauth_client_secret: SecretStr = Field(
        SecretStr(""), description="Of your app registration, where it has one."
    )
    oauth_refresh_token: SecretStr = Field(SecretStr(""), description="Granted once for this mailbox.")
    oauth_scope: str = Field(
        "", description="As the provider names it, where it wants one with every renewal."
    )

    @model_validator(mode="after")
    def _complete(self) -> EmailSettings:
        named = {
            "address": self.address,
            "imap_host": self.imap_host,
            "smtp_host": self.smtp_host,
            "password": self.password.get_secret_value() or self.oauth_refresh_token.get_secret_value(),
        }
        missing = [name for name, value in named.items() if not value]
        if missing and len(missing) < len(named):
            raise ValueError(
                "a mailbox needs address, imap_host, smtp_host and a password (or the oauth settings) together; "
                f"missing: {', '.join(missing)}"
            )
        for address in (self.address, *self.own_addresses):
            if address and not re.fullmatch(r"[!-~]+@[A-Za-z0-9.-]+", address):
                raise ValueError(f"{address!r} is not an address")
        without = [name for name in _OAUTH if not credentials.given(self, name)]
        if without and len(without) < len(_OAUTH):
            raise ValueError(f"oauth needs {', '.join(_OAUTH)} together; missing: {', '.join(without)}")
        for name, host in (("imap", self.imap_host), ("smtp", self.smtp_host)):
            if getattr(self, f"{name}_security") == "plain" and host and host not in LOCAL:
                raise ValueError(
                    f"{name}_security plain is for servers on this machine; {host} needs tls or starttls"
                )
        return self

    @property
    def is_demo(self) -> bool:
        return not self.address

    @property
    def is_played(self) -> bool:
        """By a simulator on this machine."""
        return self.imap_host in LOCAL

    @property
    def login(self) -> str:
        return self.username or self.address

    @property
    def uses_oauth(self) -> bool:
        return bool(self.oauth_token_url)

    @property
    def own_addresses(self) -> frozenset[str]:
        listed = [self.address, *self.aliases.split(",")]
        return frozenset(one.strip().lower() for one in listed if one.strip())

    def or_demo(self, vault: Vault) -> EmailSettings:
        """These settings where they name a mailbox; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="address")


def demo_settings(vault: Vault) -> EmailSettings:
    """Equal on both sides of one installation; the simulator plays both servers on this machine."""
    return EmailSettings(
        address=DEMO_ADDRESS,
        password=SecretStr(derive(vault, "email", "password")[:32]),
        imap_host=LOCAL[0],
        imap_port=DEMO_IMAP_PORT,
        imap_security="plain",
        smtp_host=LOCAL[0],
        smtp_port=DEMO_SMTP_PORT,
        smtp_security="plain",
        authserv_id="demo.invalid",
        start="all",
        poll_seconds=2,
        longest_pause_seconds=2,
    )
