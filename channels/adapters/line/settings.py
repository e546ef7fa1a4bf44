"""What connects one LINE official account, and the credentials of the demo that nobody has to type."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

PLATFORM = "https://api.line.me"
CONTENT = "https://api-data.line.me"
SIMULATOR = "http://127.0.0.1:8765"


class LineSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise channel secret and access token are needed together."""

    model_config = ConfigDict(frozen=True)

    channel_secret: SecretStr = Field(SecretStr(""), description="Channel secret, under Basic settings.")
    previous_channel_secret: SecretStr = Field(
        SecretStr(""), description="The one before, accepted while it is being changed; empty it afterwards."
    )
    channel_access_token: SecretStr = Field(
        SecretStr(""), description="Long-lived channel access token, under Messaging API."
    )
    bot_user_id: str = Field(
        "", description="U…, the bot's own user id; calls for another bot are refused. Empty: not checked."
    )
    answer_in_groups: Literal["mentions", "all"] = Field(
        "mentions", description="In groups: answer who mentions the bot, or everybody. Private chats always."
    )
    reply_token_seconds: int = Field(
        50,
        ge=0,
        le=600,
        description="So long a reply token is used; afterwards we push, which counts against the quota.",
    )
    api_base: str = Field(PLATFORM, description="Where the Messaging API stands.")
    content_base: str = Field(CONTENT, description="Where pictures and files of customers are fetched.")

    @model_validator(mode="after")
    def _complete(self) -> LineSettings:
        credentials.require_together(self, "channel_secret", "channel_access_token")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.channel_secret.get_secret_value()

    def or_demo(self, vault: Vault) -> LineSettings:
        """These settings where they name an account; otherwise the demo's, changed by what else is set here. At the
        simulator's address media come from there as well."""
        found = credentials.or_demo(self, demo_settings(vault), named="channel_secret")
        if not credentials.is_local(found.api_base) or "content_base" in credentials.chosen(self):
            return found
        return found.model_copy(update={"content_base": found.api_base})


def demo_settings(vault: Vault) -> LineSettings:
    """Equal for the server and the simulator of one installation."""
    return LineSettings(
        channel_secret=SecretStr(derive(vault, "line", "channel secret")[:32]),
        channel_access_token=SecretStr(derive(vault, "line", "access token")),
        bot_user_id=f"U{derive(vault, 'line', 'bot')[:32]}",
        api_base=SIMULATOR,
    )
