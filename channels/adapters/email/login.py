"""How we log in at both servers: by password, or by a token that is renewed and shared among processes."""

from __future__ import annotations

from channels.adapters.email.settings import EmailSettings
from channels.contract import Surroundings
from channels.platforms.api import Api
from channels.platforms.shelf import Shelf
from foundation import errors


class Login:
    def __init__(
        self, settings: EmailSettings, surroundings: Surroundings, *, api: Api | None = None
    ) -> None:
        self._settings = settings
        self._shelf = Shelf("email", surroundings)
        self._api = api or Api("email", "The mail provider", settings.oauth_token_url)
        self.user = settings.login
        self.uses_token = settings.uses_oauth

    async def close(self) -> None:
        await self._api.close()

    async def secret(self, *, refused: str = "") -> str:
        """The password or a valid token; `refused`: the server did not take this token. Raises `UpstreamUnavailable`,
        `UpstreamRefused`."""
        if not self.uses_token:
            return self._settings.password.get_secret_value()
        return await self._shelf.token(self._fetch, refused=refused)

    async def _fetch(self) -> tuple[str, float]:
        form = {
            "grant_type": "refresh_token",
            "client_id": self._settings.oauth_client_id,
            "client_secret": self._settings.oauth_client_secret.get_secret_value(),
            "refresh_token": self._settings.oauth_refresh_token.get_secret_value(),
            "scope": self._settings.oauth_scope,
        }
        given = {name: value for name, value in form.items() if value}
        answer = await self._api.call_json("POST", "", data=given)
        token, seconds = answer.get("access_token"), answer.get("expires_in", 3600)
        if not isinstance(token, str) or not token or not isinstance(seconds, int):
            raise errors.UpstreamRefused("The mail provider's answer has no token.", code="email_credentials")
        return token, float(seconds)
