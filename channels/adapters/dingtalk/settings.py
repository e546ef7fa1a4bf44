"""What connects one DingTalk robot, and the credentials of the demo that nobody has to type."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "dingtalk"
PLATFORM = "https://api.dingtalk.com"
SIMULATOR = "http://127.0.0.1:8765"


class DingtalkSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise client id and secret are needed together."""

    model_config = ConfigDict(frozen=True)

    client_id: str = Field("", description="Client ID (AppKey) of the internal app")
    client_secret: SecretStr = Field(
        SecretStr(""), description="Client Secret (AppSecret); signs the calls and fetches the token"
    )
    previous_client_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while a change reaches DingTalk; empty it afterwards"
    )
    robot_code: str = Field("", description="RobotCode where it differs from the client id")
    corp_id: str = Field(
        "", description="Corp ID of the company; refuses calls for others. Empty: not checked"
    )
    session_hosts: str = Field(
        "dingtalk.com",
        description="Hosts, with those below them, that replies may go to, with commas between",
    )
    api_base: str = Field(PLATFORM, description="Address of the OpenAPI")
    timestamp_tolerance_seconds: int = Field(
        3600, ge=30, le=3600, description="Oldest accepted call; DingTalk's own rule is one hour"
    )

    @model_validator(mode="after")
    def _complete(self) -> DingtalkSettings:
        credentials.require_together(self, "client_id", "client_secret")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.client_id

    @property
    def robot(self) -> str:
        return self.robot_code or self.client_id

    def or_demo(self, vault: Vault) -> DingtalkSettings:
        """These settings where they name an app; otherwise the demo's, changed by what else is set here."""
        return credentials.or_demo(self, demo_settings(vault), named="client_id")


def demo_settings(vault: Vault) -> DingtalkSettings:
    """Equal on both sides of one installation."""
    return DingtalkSettings(
        client_id=f"ding{derive(vault, NAME, 'client id')[:16]}",
        client_secret=SecretStr(derive(vault, NAME, "client secret")),
        api_base=SIMULATOR,
    )
