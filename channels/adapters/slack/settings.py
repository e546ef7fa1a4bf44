"""What connects one Slack app, and the credentials of the demo that nobody has to type."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

PLATFORM = "https://slack.com"
SIMULATOR = "http://127.0.0.1:8765"


class SlackSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise signing secret and bot token are needed together."""

    model_config = ConfigDict(frozen=True)

    signing_secret: SecretStr = Field(SecretStr(""), description="Signing Secret, under Basic Information.")
    previous_signing_secret: SecretStr = Field(
        SecretStr(""), description="The one before, accepted while it is being changed; empty it afterwards."
    )
    bot_token: SecretStr = Field(SecretStr(""), description="Bot User OAuth Token, xoxb-….")
    app_id: str = Field("", description="A…; calls for another app are refused. Empty: not checked.")
    team_id: str = Field("", description="T…; calls from another workspace are refused. Empty: not checked.")
    bot_user_id: str = Field(
        "", description="U…, of the bot, for payloads that do not name it. Empty: read from each call."
    )
    answer_in_channels: Literal["mentions", "all"] = Field(
        "mentions",
        description="In channels: answer who mentions the bot, or everybody. Direct messages always.",
    )
    api_base: str = Field(PLATFORM, description="Where Slack's Web API stands.")
    timestamp_tolerance_seconds: int = Field(
        300, ge=30, le=3600, description="Age at which a signed call is refused."
    )

    @model_validator(mode="after")
    def _complete(self) -> SlackSettings:
        credentials.require_together(self, "signing_secret", "bot_token")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.bot_token.get_secret_value()

    def or_demo(self, vault: Vault) -> SlackSettings:
        """These settings where they name an app; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="bot_token")


def demo_settings(vault: Vault) -> SlackSettings:
    """Equal for the server and the simulator of one installation."""
    return SlackSettings(
        signing_secret=SecretStr(derive(vault, "slack", "signing secret")[:32]),
        bot_token=SecretStr(f"xoxb-{derive(vault, 'slack', 'bot token')[:40]}"),
        app_id=f"A{derive(vault, 'slack', 'app')[:10].upper()}",
        team_id=f"T{derive(vault, 'slack', 'team')[:10].upper()}",
        bot_user_id=f"U{derive(vault, 'slack', 'bot user')[:10].upper()}",
        api_base=SIMULATOR,
    )
