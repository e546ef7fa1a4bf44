"""Hands mails to the SMTP server; its refusals become the errors of our tree. The only file here that speaks SMTP.

A time-out after the mail has left means "unknown" and is reported as temporary: the repetition is the same mail, by its
Message-ID.
"""

from __future__ import annotations

import re

import aiosmtplib
import structlog

from channels.adapters.email.login import Login
from channels.adapters.email.settings import EmailSettings
from foundation import errors

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 30.0
RATE_WAIT_SECONDS = 300.0
_RATE = re.compile(r"\b4\.7\.\d+|\b4\.5\.3\b|\brate|too many|throttl|quota exceeded", re.IGNORECASE)
_CREDENTIALS = frozenset({530, 534, 535, 538})


class Outgoing:
    def __init__(
        self, settings: EmailSettings, login: Login, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._settings = settings
        self._login = login
        self._timeout = timeout_seconds
        self._healthy = True

    async def send(self, recipient: str, mail: bytes) -> None:
        """Raises `UpstreamUnavailable`, `UpstreamRefused` or `Exhausted`."""
        try:
            await self._with_login(recipient, mail)
        except (errors.UpstreamError, errors.Exhausted) as error:
            self._note(error.code)
            raise
        self._note("")

    async def test(self) -> None:
        """Logs in and sends nothing. Raises as `send`."""
        await self._with_login("", b"")

    async def _with_login(self, recipient: str, mail: bytes) -> None:
        secret = await self._login.secret()
        try:
            await self._once(secret, recipient, mail)
        except errors.UpstreamRefused as error:
            if error.code != "email_credentials" or not self._login.uses_token:
                raise
            await self._once(await self._login.secret(refused=secret), recipient, mail)

    async def _once(self, secret: str, recipient: str, mail: bytes) -> None:
        try:
            async with self._client(secret) as client:
                if mail:
                    await client.sendmail(self._settings.address, [recipient], mail)
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            raise _refusal(first.code, first.message) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error.code, error.message) from error
        except (aiosmtplib.SMTPTimeoutError, TimeoutError) as error:
            raise errors.UpstreamUnavailable(
                "The mail server did not answer in time.", code="email_timeout"
            ) from error
        except aiosmtplib.SMTPNotSupported as error:
            raise errors.UpstreamRefused(
                "The mail server cannot do what this mail or login needs.", code="email_not_supported"
            ) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise errors.UpstreamUnavailable(
                "The mail server cannot be reached.", code="email_unreachable"
            ) from error

    def _client(self, secret: str) -> aiosmtplib.SMTP:
        async def token() -> str:
            return secret

        security = self._settings.smtp_security
        uses_token = self._login.uses_token
        return aiosmtplib.SMTP(
            hostname=self._settings.smtp_host,
            port=self._settings.smtp_port,
            username=self._login.user,
            password=None if uses_token else secret,
            oauth_token_generator=token if uses_token else None,
            use_tls=security == "tls",
            start_tls=security == "starttls",
            timeout=self._timeout,
            local_hostname=self._settings.address.rpartition("@")[2],
        )

    def _note(self, problem: str) -> None:
        """One line when the server goes away and one when it is back. A refused recipient is no state of the server."""
        if problem and self._healthy and not problem.startswith("email_smtp_5"):
            log.warning("channel cannot send", channel="email", code=problem)
            self._healthy = False
        elif not problem and not self._healthy:
            log.info("channel sends again", channel="email")
            self._healthy = True


def _refusal(code: int, message: str) -> errors.ServiceError:
    """The server's words may hold addresses and stay out of ours."""
    if code in _CREDENTIALS:
        return errors.UpstreamRefused("The mail server does not take our login.", code="email_credentials")
    sentence = f"The mail server answers with {code}."
    if 400 <= code < 500 and _RATE.search(message):
        return errors.Exhausted(sentence, code=f"email_smtp_{code}", retry_after_seconds=RATE_WAIT_SECONDS)
    if 400 <= code < 500:
        return errors.UpstreamUnavailable(sentence, code=f"email_smtp_{code}")
    return errors.UpstreamRefused(sentence, code=f"email_smtp_{code}")
