"""What connects one Aliyun SMS account, and the credentials of the demo that nobody has to type.

Read from HUILIU_SMS_ALIYUN_… or from an account that was added; the simulator passes the same model through `or_demo`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.families.sms import require_secret
from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "sms_aliyun"
PLATFORM = "https://dysmsapi.aliyuncs.com"
SIMULATOR = "http://127.0.0.1:8765"
_NEEDED = ("access_key_id", "access_key_secret", "path_secret", "sign_name", "template_code")


class SmsAliyunSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise key, path, signature and template are needed together."""

    model_config = ConfigDict(frozen=True)

    access_key_id: str = Field("", description="AccessKey ID of a RAM user that may send SMS.")
    access_key_secret: SecretStr = Field(SecretStr(""), description="The secret of that AccessKey.")
    path_secret: SecretStr = Field(
        SecretStr(""),
        description="The last part of our address, at random: Aliyun's calls bear no signature.",
    )
    previous_path_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while the address is being changed at Aliyun."
    )
    sign_name: str = Field("", description="The approved signature 签名, without its brackets.")
    template_code: str = Field("", description="SMS_…: the approved template that carries replies.")
    variable: str = Field("content", description="The name of the template's one variable.")
    variable_limit: int = Field(
        35, ge=6, le=1000, description="Characters that the variable takes; see the template at Aliyun."
    )
    max_messages: int = Field(
        1, ge=1, le=50, description="SMS that one reply may take; the rest is cut, aloud."
    )
    extend_code: str = Field(
        "", description="Our extension code, so that answers come back to it; usually empty."
    )
    utc_offset_hours: int = Field(8, ge=-12, le=14, description="The zone of the times that Aliyun writes.")
    api_base: str = Field(PLATFORM, description="Aliyun's address; another one for regions and tests.")

    @model_validator(mode="after")
    def _complete(self) -> SmsAliyunSettings:
        credentials.require_together(self, *_NEEDED)
        for name in ("path_secret", "previous_path_secret"):
            require_secret(name, getattr(self, name))
        return self

    @property
    def is_demo(self) -> bool:
        return not self.access_key_id

    def or_demo(self, vault: Vault) -> SmsAliyunSettings:
        """These settings where they name an account; otherwise the demo's, changed by what else is set here. The demo's
        template takes long texts, so that there is something to read."""
        demo = SmsAliyunSettings(
            access_key_id=f"LTAI{derive(vault, NAME, 'key')[:20]}",
            access_key_secret=SecretStr(derive(vault, NAME, "secret")[:30]),
            path_secret=SecretStr(derive(vault, NAME, "path")[:32]),
            sign_name="Demo",
            template_code="SMS_100",
            variable_limit=200,
            max_messages=3,
            api_base=SIMULATOR,
        )
        return credentials.or_demo(self, demo, named="access_key_id")
