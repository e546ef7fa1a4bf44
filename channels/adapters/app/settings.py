"""What connects one app: the keys of its user tokens, and where its push service stands.

Read from HUILIU_APP_… or from an account that was added; the simulator passes the same model through `or_demo`.
"""

from __future__ import annotations

import base64

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from channels.adapters.app import user_tokens
from channels.platforms.signatures import derive, secrets_of
from channels.platforms.standard_webhooks import key_of
from foundation.security import Vault

NAME = "app"
DEMO_KEY = "demo"
SIMULATOR = "http://127.0.0.1:8765/push"
_LOCAL = ("http://127.0.0.1:", "http://localhost:")


class AppSettings(BaseModel):
    """Without any key: the demo's own. A push service needs its address and its secret together."""

    model_config = ConfigDict(frozen=True)

    keys: SecretStr = Field(
        SecretStr(""),
        description="Secrets that sign your user tokens (HS256): key-id=secret, separated by commas, two while they change; each at least 32 characters.",
    )
    public_keys: str = Field(
        "",
        description="Or public keys (ES256, RS256): a JWKS document, or key-id=PEM, one after another.",
    )
    audience: str = Field(
        "huiliu", min_length=1, max_length=200, description="What aud in a user token says."
    )
    issuer: str = Field("", max_length=200, description="What iss must say; empty: it is not looked at.")
    token_hours: int = Field(24, ge=1, le=24, description="So many hours a user token may be valid.")
    subject_is_account: bool = Field(
        True, description="sub is the shop's account of the customer; otherwise only the claim account is."
    )
    push_url: str = Field(
        "", description="Called when a reply waits and the app is not open; empty: nothing."
    )
    push_secret: SecretStr = Field(
        SecretStr(""), description="whsec_ and base64 of at least 16 bytes: signs these calls."
    )
    previous_push_secret: SecretStr = Field(
        SecretStr(""), description="Signed with as well while the secret is being changed."
    )
    push_title: str = Field("", max_length=100, description="Goes along as the notification's title.")
    push_text: bool = Field(False, description="Tell the push service what the reply says.")
    push_after_seconds: int = Field(
        5, ge=0, le=120, description="So long an open app has to show the reply before it is pushed."
    )

    @model_validator(mode="after")
    def _complete(self) -> AppSettings:
        user_tokens.read_keys(self.keys.get_secret_value(), self.public_keys)
        secret = self.push_secret.get_secret_value()
        if bool(secret) != bool(self.push_url):
            raise ValueError(
                f"a push service needs push_url and push_secret together; missing: {'push_url' if secret else 'push_secret'}"
            )
        if self.push_url and not self.push_url.startswith(("https://", *_LOCAL)):
            raise ValueError("push_url begins with https://")
        for one in secrets_of(self.push_secret, self.previous_push_secret):
            if not key_of(one):
                raise ValueError("a push secret is whsec_ and the base64 of at least 16 bytes")
        return self

    @property
    def is_demo(self) -> bool:
        return not self.keys.get_secret_value() and not self.public_keys

    def or_demo(self, vault: Vault) -> AppSettings:
        """These settings where they name a key; otherwise the demo's, changed by what else is set here."""
        if not self.is_demo:
            return self
        secret = base64.b64encode(bytes.fromhex(derive(vault, NAME, "push"))).decode()
        demo = AppSettings(
            keys=SecretStr(f"{DEMO_KEY}={derive(vault, NAME, 'user tokens')}"),
            push_url=SIMULATOR,
            push_secret=SecretStr(f"whsec_{secret}"),
        )
        return demo.model_copy(
            update={name: getattr(self, name) for name in self.model_fields_set - {"keys"}}
        )
