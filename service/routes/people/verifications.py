"""One-time codes for apps and pages with a form of their own: ask for one, and give it back, in a customer's session.

The session is a conversation's, by the token that its channel gave (the web chat's, the app's), which is the only authorisation.
Answers are those of the dialogue: the same for a contact that nobody knows and for one over its limits. After the right code
the conversation goes on with what it was waiting for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from limits import RateLimitItemPerMinute
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from channels.families.live_chat.admission import Pace
from channels.places import Channels
from channels.promises import Visited
from customers.proof import levels
from customers.verification import codes
from customers.verification.verification import Verification
from foundation import conversations, errors
from foundation.conversations import Conversation
from foundation.messages import Frozen
from foundation.security import find_code, network_key, random_token
from prompts.library import Library
from service.routes.forms import read_form

ASKS = RateLimitItemPerMinute(6)
ANSWERS = RateLimitItemPerMinute(30)
NO_STORE = {"Cache-Control": "no-store"}


class Wanted(Frozen):
    contact: str = Field(min_length=1, max_length=320)
    purpose: str = Field("orders", max_length=40)


class Answered(Frozen):
    code: str = Field(min_length=1, max_length=40)


@dataclass(frozen=True, slots=True)
class VerificationRoutes:
    verification: Verification
    channels: Channels
    library: Library
    pace: Pace

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/v1/verifications", self._start, methods=["POST"]),
            Route("/v1/verifications/{id}/check", self._check, methods=["POST"]),
        ]

    async def _start(self, request: Request) -> Response:
        conversation = await self._session(request)
        form = await read_form(request, Wanted)
        self.pace.spend(ASKS, "code", conversation.id)
        if form.purpose not in levels.purposes_of_codes():
            raise errors.InvalidInput(
                f"No code opens {form.purpose!r}; it is one of {', '.join(levels.purposes_of_codes())}.",
                code="unknown_purpose",
            )
        contact = codes.read_contact(form.contact)
        if contact is None:
            raise errors.InvalidInput("That is no phone number and no e-mail address.", code="no_contact")
        if not self.verification.can_reach(conversation):
            raise errors.Conflict(
                "No channel that could carry a code is open here; let the customer sign in.", code="no_codes"
            )
        host = request.client.host if request.client else ""
        challenge = await self.verification.start(
            conversation.tenant, conversation.id, contact, purpose=form.purpose, language=conversation.language,
            key=random_token(), network=network_key(self.verification.vault, conversation.tenant, host),
        )  # fmt: skip
        said = await self.library.render(
            conversation.tenant, "replies/code_sent", "en" if conversation.language == "en" else "zh"
        )
        body = {"id": challenge, "expires_in": codes.VALID_SECONDS, "message": said.text.strip()}
        return JSONResponse(body, 202, headers=NO_STORE)

    async def _check(self, request: Request) -> Response:
        conversation = await self._session(request)
        form = await read_form(request, Answered)
        self.pace.spend(ANSWERS, "answer", conversation.id)
        checked = await self.verification.check(
            conversation.tenant, conversation.id, request.path_params["id"], find_code(form.code) or form.code,
            key=random_token(),
        )  # fmt: skip
        return JSONResponse({"state": checked.state, "tries_left": checked.left}, headers=NO_STORE)

    async def _session(self, request: Request) -> Conversation:
        """Raises `NotAuthentic`, and `NotFound` before the first message."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        for (tenant, _place), channel in self.channels.items():
            if scheme.lower() != "bearer" or not isinstance(channel, Visited):
                continue
            try:
                here = channel.visited(token.strip())
            except errors.NotAuthentic:
                continue
            return await self.verification.database.read(
                partial(conversations.get, tenant=tenant, conversation_id=here)
            )
        raise errors.NotAuthentic("This needs the token of a customer's session.", code="token_invalid")
