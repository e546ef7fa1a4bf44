"""The staff's work by API: the desk, the knowledge base and the prompts, with the same powers as the console.

The wiring puts these routes into the application; the command line uses them when a server runs. Each asks `Doorman` who is
behind the bearer token, and the parts below ask that member's permissions themselves where a change is made.
"""

from __future__ import annotations

import base64
import dataclasses
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from customers.profile import profile as profiles
from foundation import conversations, errors
from foundation.clock import to_milliseconds
from foundation.messages import FILES, Attachment, ConversationId, TenantId
from operations import audit
from operations.log_in_limit import LogInLimit
from operations.staff import Member
from retrieval import front_matter
from retrieval.front_matter import Document
from retrieval.passages import Found
from retrieval.sources.markdown_folder import MarkdownFolder
from service.operator import Doorman
from service.routes import staff_forms
from service.routes.forms import read_form

if TYPE_CHECKING:
    from service.wiring import System


class StaffRoutes:
    def __init__(self, system: System, doorman: Doorman) -> None:
        self._system = system
        self._doorman = doorman
        self._limit = LogInLimit()

    def routes(self) -> list[BaseRoute]:
        one = "/v1/desk/conversations/{id}"
        article = "/v1/knowledge/articles/{language}/{id}"
        return [
            Route("/v1/staff/login", self._log_in, methods=["POST"]),
            self._doorman.route("GET", "/v1/desk/conversations", self._inbox, "desk.read"),
            self._doorman.route("GET", one, self._conversation, "desk.read"),
            self._doorman.route("POST", f"{one}/take", self._take, "desk.reply"),
            self._doorman.route("POST", f"{one}/reply", self._reply, "desk.reply"),
            self._doorman.route("POST", f"{one}/messages/{{message_id}}/resend", self._resend, "desk.reply"),
            self._doorman.route("POST", f"{one}/give-back", self._give_back, "desk.reply"),
            self._doorman.route("POST", f"{one}/close", self._close, "desk.reply"),
            self._doorman.route("POST", f"{one}/note", self._note, "desk.reply"),
            self._doorman.route("POST", "/v1/desk/approvals/{id}", self._decide, "desk.approve"),
            self._doorman.route("POST", "/v1/knowledge/import", self._import, "knowledge.publish"),
            self._doorman.route("GET", "/v1/knowledge/search", self._search, "knowledge.edit"),
            self._doorman.route("POST", "/v1/knowledge/preview", self._preview, "knowledge.edit"),
            self._doorman.route("GET", "/v1/knowledge/articles", self._articles, "knowledge.edit"),
            self._doorman.route("GET", article, self._history, "knowledge.edit"),
            self._doorman.route("GET", f"{article}/diff", self._compare_article, "knowledge.edit"),
            self._doorman.route("PUT", article, self._save_article, "knowledge.edit"),
            self._doorman.route("POST", f"{article}/publish", self._publish_article, "knowledge.publish"),
            self._doorman.route("POST", f"{article}/rollback", self._roll_back_article, "knowledge.publish"),
            self._doorman.route("POST", f"{article}/withdraw", self._withdraw_article, "knowledge.publish"),
            self._doorman.route("GET", "/v1/prompts", self._prompts, "prompts.edit"),
            self._doorman.route("GET", "/v1/prompts/{id:path}", self._prompt, "prompts.edit"),
            self._doorman.route("PUT", "/v1/prompts/{id:path}", self._save_prompt, "prompts.edit"),
            self._doorman.route(
                "POST", "/v1/prompts/{id:path}/publish", self._publish_prompt, "prompts.publish"
            ),
            self._doorman.route(
                "POST", "/v1/prompts/{id:path}/rollback", self._roll_back_prompt, "prompts.publish"
            ),
        ]

    async def _log_in(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        await self._limit.check(address)
        form = await read_form(request, staff_forms.LogIn)
        tenant = TenantId(form.tenant or self._system.tenants[0])
        try:
            member = await self._system.staff.log_in(tenant, form.login, form.password)
        except errors.NotAuthentic:
            await self._limit.count_wrong(address)
            raise
        return JSONResponse(
            {"token": self._system.staff.token(member), "name": member.name, "role": member.role}
        )

    async def _inbox(self, _request: Request, member: Member) -> Any:
        inbox = await self._system.desk.inbox(member.tenant)
        return {holder: [_summary(one) for one in found] for holder, found in inbox.items()}

    async def _conversation(self, request: Request, member: Member) -> Any:
        view = await self._system.reading.view(member.tenant, _id(request))
        return {
            **_summary(view.conversation),
            "name": view.name,
            "summary": view.conversation.handoff_summary,
            "messages": [
                {
                    "seq": message.seq, "role": message.role, "author": message.author, "text": message.text,
                    "id": message.id, "kind": message.kind, "state": message.state, "error": message.error, "at": to_milliseconds(message.sent_at),
                    "attachments": [_attachment(one) for one in message.attachments],
                }
                for message in view.messages
            ],
            "approvals": [
                {"id": one.id, "tool": one.tool, "order_no": one.order_no, "amount": one.amount, "reason": one.reason}
                for one in view.approvals
            ],
            "notes": [dataclasses.asdict(note) for note in view.notes],
            "behaviour": [
                {**seen.model_dump(exclude={"at"}, exclude_defaults=True), "at": to_milliseconds(seen.at)}
                for seen in view.behaviour
            ],
            "profile": None if view.profile is None else profiles.shown(view.profile),
        }  # fmt: skip

    async def _take(self, request: Request, member: Member) -> Any:
        await self._system.desk.take_over(member, _id(request))
        return {"taken": True}

    async def _reply(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.Say)
        await self._system.desk.reply(member, _id(request), form.text, key=form.key)
        return {"accepted": True}

    async def _resend(self, request: Request, member: Member) -> Any:
        await self._system.desk.resend(member, _id(request), request.path_params["message_id"])
        return {"accepted": True}

    async def _give_back(self, request: Request, member: Member) -> Any:
        await self._system.desk.give_back(member, _id(request))
        return {"given_back": True}

    async def _close(self, request: Request, member: Member) -> Any:
        await self._system.desk.close(member, _id(request))
        return {"closed": True}

    async def _note(self, request: Request, member: Member) -> Any:
        await self._system.desk.note(member, _id(request), (await read_form(request, staff_forms.Say)).text)
        return {"kept": True}

    async def _decide(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.Decide)
        await self._system.desk.decide(
            member, request.path_params["id"], approved=form.approved, reason=form.reason
        )
        return {"decided": True}

    async def _import(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.Import)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / form.name
            folder.mkdir()
            _unpack(form.files, folder)
            if not form.publish:
                return await self._import_drafts(folder, member)
            report = await self._system.ingestion.import_source(
                member.tenant, MarkdownFolder(folder), author=member.name
            )
        await self._audit(member, "knowledge.imported", form.name)
        return {
            "new": report.new, "changed": report.changed, "unchanged": report.unchanged, "removed": report.removed,
            "problems": [problem.sentence for problem in report.problems],
        }  # fmt: skip

    async def _import_drafts(self, folder: Path, member: Member) -> Any:
        delivery = await MarkdownFolder(folder).read()
        catalogue = await self._system.articles.catalogue(member.tenant)
        known = {(one.id, one.language): one.last_version for one in catalogue}
        counts = Counter(new=0, changed=0, unchanged=0, removed=0)
        for document in delivery.documents:
            last = known.get((document.id, document.language), 0)
            if last and await self._stored(member, document) == document:
                counts["unchanged"] += 1
                continue
            await self._system.articles.save_draft(
                member.tenant, document, author=member.name, note="import", based_on=last
            )
            counts["changed" if last else "new"] += 1
        return {**counts, "problems": [problem.sentence for problem in delivery.problems]}

    async def _stored(self, member: Member, document: Document) -> Document:
        """Its newest version."""
        return (await self._system.articles.get(member.tenant, document.id, document.language)).document

    async def _search(self, request: Request, member: Member) -> Any:
        text = request.query_params.get("q", "").strip()
        if not text:
            raise errors.InvalidInput("Say what to search for: ?q=…", code="question_missing")
        language = request.query_params.get("language", "zh")
        return _found(await self._system.knowledge.ask(member.tenant, text, language=language))

    async def _preview(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.Preview)
        draft = Document(form.id, form.language, form.title, form.body, form.questions)
        front_matter.check(draft, draft.id)
        previews = await self._system.knowledge.preview(member.tenant, draft, list(form.ask))
        return [
            {"question": one.question, "before": _found(one.before), "after": _found(one.after)}
            for one in previews
        ]

    async def _articles(self, _request: Request, member: Member) -> Any:
        return [
            {**dataclasses.asdict(one), "updated_at": to_milliseconds(one.updated_at)}
            for one in await self._system.articles.catalogue(member.tenant)
        ]

    async def _history(self, request: Request, member: Member) -> Any:
        return [
            {
                "version": one.version, "state": one.state, "author": one.author, "note": one.note,
                "created_at": to_milliseconds(one.created_at), **dataclasses.asdict(one.document),
            }
            for one in await self._system.articles.history(member.tenant, *_article(request))
        ]  # fmt: skip

    async def _compare_article(self, request: Request, member: Member) -> Any:
        numbers = [request.query_params.get(name, "") for name in ("old", "new")]
        if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in numbers):
            raise errors.InvalidInput("Say which versions to compare: ?old=1&new=2", code="versions_missing")
        old, new = map(int, numbers)
        found = await self._system.articles.compare(member.tenant, *_article(request), old=old, new=new)
        return {"unified": found.unified}

    async def _save_article(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.Article)
        article, language = _article(request)
        document = Document(
            article,
            language,
            form.title,
            form.body,
            form.questions,
            form.topic,
            form.audience,  # type: ignore[arg-type]  # checked by save_draft
        )
        version = await self._system.articles.save_draft(
            member.tenant, document, author=member.name, based_on=form.based_on, note=""
        )
        await self._audit(member, "knowledge.saved", f"{article}/{language}")
        return {"version": version}

    async def _publish_article(self, request: Request, member: Member) -> Any:
        article, language = _article(request)
        version = (await self._system.articles.history(member.tenant, article, language))[0].version
        await self._system.articles.publish(member.tenant, article, language, version)
        await self._audit(member, "knowledge.published", f"{article}/{language}")
        return {"version": version}

    async def _roll_back_article(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.Version)
        article, language = _article(request)
        version = await self._system.articles.roll_back(
            member.tenant, article, language, to=form.version, author=member.name
        )
        await self._audit(member, "knowledge.rolled_back", f"{article}/{language}")
        return {"version": version}

    async def _withdraw_article(self, request: Request, member: Member) -> Any:
        article, language = _article(request)
        await self._system.articles.withdraw(member.tenant, article, language)
        await self._audit(member, "knowledge.withdrawn", f"{article}/{language}")
        return {"withdrawn": True}

    async def _prompts(self, _request: Request, member: Member) -> Any:
        return [
            {"id": one.id, "version": one.version, "purpose": one.purpose}
            for one in await self._system.library.prompts(member.tenant)
        ]

    async def _prompt(self, request: Request, member: Member) -> Any:
        versions = await self._system.library.versions(member.tenant, request.path_params["id"])
        return [
            {
                "version": one.version,
                "state": one.state,
                "body": one.body,
                "author": one.author,
                "note": one.note,
            }
            for one in versions
        ]

    async def _save_prompt(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.PromptText)
        prompt_id = request.path_params["id"]
        saved = await self._system.library.save_draft(
            member.tenant, prompt_id, form.body, author=member.name, note=form.note
        )
        await self._audit(member, "prompts.saved", prompt_id)
        faults = await self._system.library.faults(member.tenant, prompt_id, form.body)
        return {"version": saved.version, "faults": [str(fault) for fault in faults]}

    async def _publish_prompt(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.Version)
        prompt_id = request.path_params["id"]
        await self._system.library.publish(member.tenant, prompt_id, form.version, author=member.name)
        await self._audit(member, "prompts.published", prompt_id)
        return {"version": form.version}

    async def _roll_back_prompt(self, request: Request, member: Member) -> Any:
        form = await read_form(request, staff_forms.Version)
        prompt_id = request.path_params["id"]
        now = await self._system.library.rollback(member.tenant, prompt_id, form.version, author=member.name)
        await self._audit(member, "prompts.rolled_back", prompt_id)
        return {"version": now.version}

    async def _audit(self, member: Member, action: str, subject: str) -> None:
        now = self._system.clock()

        def write(connection: sa.Connection) -> None:
            audit.write(connection, member.tenant, actor=member.id, action=action, subject=subject, now=now)

        await self._system.database.write(write)


def _attachment(one: Attachment) -> dict[str, Any]:
    """Without the platform's own addresses, which may open the file to anybody; `file` is where we keep it."""
    hidden = {"media_id", "url"} if one.kind in FILES else {"media_id"}
    file = {"file": f"/v1/media/{one.stored}"} if one.stored else {}
    return {**one.model_dump(exclude_defaults=True, exclude=hidden), "kind": one.kind, **file}


def _id(request: Request) -> ConversationId:
    return ConversationId(request.path_params["id"])


def _article(request: Request) -> tuple[str, str]:
    return request.path_params["id"], request.path_params["language"]


def _summary(conversation: conversations.Conversation) -> dict[str, Any]:
    waiting = conversation.waiting_since
    return {
        "id": conversation.id, "channel": conversation.channel, "holder": conversation.holder,
        "held_by": conversation.held_by, "status": conversation.status, "language": conversation.language,
        "reason": conversation.handoff_reason, "priority": conversation.priority, "last_seq": conversation.last_seq,
        "waiting_since": None if waiting is None else to_milliseconds(waiting),
    }  # fmt: skip


def _found(found: Found) -> dict[str, Any]:
    return {
        "answerable": found.answerable,
        "degraded": list(found.degraded),
        "passages": [dataclasses.asdict(hit) for hit in found.passages],
    }


def _unpack(files: tuple[staff_forms.File, ...], folder: Path) -> None:
    """Only below `folder`, whatever a path says."""
    for file in files:
        target = (folder / file.path.replace("\0", "")).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise errors.InvalidInput(
                f"{file.path}: a path must stay inside the import.", code="path_outside"
            )
        try:
            content = base64.b64decode(file.base64, validate=True)
        except ValueError as error:  # also for what is not ASCII, which is no binascii.Error
            raise errors.InvalidInput(f"{file.path}: the content is not base64.", code="malformed") from error
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except OSError as error:
            raise errors.InvalidInput(
                f"{file.path}: this cannot be the path of a file ({error.strerror}).", code="path_impossible"
            ) from error
