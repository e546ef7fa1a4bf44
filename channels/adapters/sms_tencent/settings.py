"""What connects one Tencent Cloud SMS application, and the credentials of the demo that nobody has to type.

Read from HUILIU_SMS_TENCENT_… or from an account that was added; the simulator passes the same model through `or_demo`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.families.sms import require_secret
from channels.platforms import credentials
from channels.platforms.signatures import derive
from foundation.security import Vault

NAME = "sms_tencent"
PLATFORM = "https://sms.tencentcloudapi.com"
SIMULATOR = "http://127.0.0.1:8765"
_NEEDED = ("secret_id", "secret_key", "path_secret", "app_id", "template_id", "sign_name")


class SmsTencentSettings(BaseModel):
    """All empty: the demo's own credentials. Otherwise key, path, application, template and signature are needed together."""

    model_config = ConfigDict(frozen=True)

    secret_id: str = Field("", description="SecretId of an API key that may send SMS.")
    secret_key: SecretStr = Field(SecretStr(""), description="The SecretKey that belongs to it.")
    path_secret: SecretStr = Field(
        SecretStr(""),
        description="The last part of our address, at random: Tencent's calls bear no signature.",
    )
    previous_path_secret: SecretStr = Field(
        SecretStr(""), description="Still accepted while the address is being changed at Tencent."
    )
    app_id: str = Field("", description="SmsSdkAppId of the application, 1400….")
    template_id: str = Field(
        "", description="The approved template, with one variable, that carries replies."
    )
    sign_name: str = Field("", description="The approved signature 签名, without its brackets.")
    variable_limit: int = Field(
        12, ge=6, le=1000, description="Characters that the variable takes; see the template at Tencent."
    )
    max_messages: int = Field(
        1, ge=1, le=50, description="SMS that one reply may take; the rest is cut, aloud."
    )
    extend_code: str = Field(
        "", description="Our extension code, for messages that answer nothing; usually empty."
    )
    region: str = Field("ap-guangzhou", description="The region of the API.")
    api_base: str = Field(PLATFORM, description="Tencent's address; another one for regions and tests.")

    @model_validator(mode="after")
    def _complete(self) -> SmsTencentSettings:
        credentials.require_together(self, *_NEEDED)
        for name in ("path_secret", "previous_path_secret"):
            require_secret(name, getattr(self, name))
        return self

    @property
    def is_demo(self) -> bool:
        return not self.secret_id

    def or_demo(self, vault: Vault) -> SmsTencentSettings:
        """These settings where they name an account; otherwise the demo's, changed by what else is set here. The demo's
        template takes long texts, so that there is something to read."""
        demo = SmsTencentSettings(
            secret_id=f"AKID{derive(vault, NAME, 'key')[:32]}",
            secret_key=SecretStr(derive(vault, NAME, "secret")[:32]),
            path_secret=SecretStr(derive(vault, NAME, "path")[:32]),
            app_id="1400000001",
            template_id="449739",
            sign_name="Demo",
            variable_limit=200,
            max_messages=3,
            api_base=SIMULATOR,
        )
        return credentials.or_demo(self, demo, named="secret_id")
