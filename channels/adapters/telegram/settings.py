"""What connects one Telegram bot, and the credentials of the demo that nobody has to type.

Read from HUILIU_TELEGRAM_… or from an account that was added; `channel.build` and the simulator pass it through `or_demo`.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

PLATFORM = "https://api.telegram.org"
SIMULATOR = "http://127.0.0.1:8765"
_BOT_TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{10,100}")
_SECRET_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,256}")


class TelegramSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise bot token and secret token together."""

    model_config = ConfigDict(frozen=True)

    bot_token: SecretStr = Field(SecretStr(""), description="From @BotFather, like 123456:ABC….")
    secret_token: SecretStr = Field(
        SecretStr(""),
        description="A word of your own (letters, digits, - and _), given to setWebhook; every call brings it.",
    )
    previous_secret_token: SecretStr = Field(
        SecretStr(""),
        description="Still accepted while the secret token is being changed; empty it afterwards.",
    )
    api_base: str = Field(
        PLATFORM,
        description="Where the Bot API answers: Telegram, a Bot API server of your own, or the simulator.",
    )

    @model_validator(mode="after")
    def _complete(self) -> TelegramSettings:
        named = {
            "bot_token": self.bot_token.get_secret_value(),
            "secret_token": self.secret_token.get_secret_value(),
        }
        missing = [name for name, value in named.items() if not value]
        if missing and len(missing) < len(named):
            raise ValueError(f"a bot needs {' and '.join(named)}; missing: {', '.join(missing)}")
        if named["bot_token"] and not _BOT_TOKEN.fullmatch(named["bot_token"]):
            raise ValueError("bot_token has the form 123456:ABC…, as @BotFather gives it")
        for secret in (named["secret_token"], self.previous_secret_token.get_secret_value()):
            if secret and not _SECRET_TOKEN.fullmatch(secret):
                raise ValueError("a secret token has 1 to 256 letters, digits, - and _")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.bot_token.get_secret_value()

    @property
    def bot_id(self) -> str:
        """The part of the token that is no secret."""
        return self.bot_token.get_secret_value().split(":")[0]

    def or_demo(self, vault: Vault) -> TelegramSettings:
        """These settings where they name a bot; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="bot_token")


def demo_settings(vault: Vault) -> TelegramSettings:
    """Equal on both sides of one installation."""
    bot_id = int(derive(vault, "telegram", "bot id")[:8], 16)
    return TelegramSettings(
        bot_token=SecretStr(f"{bot_id}:{derive(vault, 'telegram', 'bot token')[:35]}"),
        secret_token=SecretStr(derive(vault, "telegram", "secret token")),
        api_base=SIMULATOR,
    )
