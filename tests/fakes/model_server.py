"""A server with the face of an OpenAI-compatible provider, on loopback, whose behaviour is the name of the model.

A test points several models of one ladder at one server: `openai/hang`, then `openai/ok`. Every request is kept in
`requests`, so that a test can count how often a model was really asked.
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.datastructures import UploadFile

PIECES = ("The ", "parcel ", "left ", "on ", "Monday.")
ANSWER = "".join(PIECES)
RIGHT = {"city": "Hangzhou", "nights": 3}
WRONG = {"city": "Hangzhou", "nights": "many"}
INPUT_TOKENS, OUTPUT_TOKENS = 20, 5


@dataclass
class ModelServer:
    url: str
    requests: list[dict[str, Any]] = field(default_factory=list)
    closed_streams: list[str] = field(default_factory=list)
    """Models whose streams were left by the client before their end."""
    stream_left: threading.Event = field(default_factory=threading.Event)

    def asked(self, model: str) -> int:
        return sum(request["model"] == model for request in self.requests)


@contextmanager
def running() -> Iterator[ModelServer]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = ModelServer(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
    config = uvicorn.Config(
        _application(server), log_level="critical", timeout_graceful_shutdown=0, lifespan="off"
    )
    machine = uvicorn.Server(config)
    thread = threading.Thread(target=machine.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        machine.should_exit = True
        machine.force_exit = True
        thread.join(10)
        listener.close()


def unused_address() -> str:
    """Where nobody listens: connecting is refused."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


def _application(server: ModelServer) -> FastAPI:
    application = FastAPI()

    @application.post("/v1/chat/completions")
    async def answer(request: Request) -> Response:
        asked = await request.json()
        server.requests.append(asked)
        mode = str(asked["model"])
        if asked.get("stream"):
            return await STREAMS.get(mode, _stream_as_usual)(server, asked)
        return await ANSWERS.get(mode, _answer_as_usual)(server, asked)

    @application.post("/v1/audio/transcriptions")
    async def transcribe(request: Request) -> Response:
        """By OpenAI's reference: a form with the file, whose name tells the format, and the model."""
        form = await request.form()
        file = form["file"]
        assert isinstance(file, UploadFile)
        mode, content = str(form["model"]), await file.read()
        server.requests.append({"model": mode, "file": file.filename, "content": content})
        if mode in _FAILURES:
            return await _FAILURES[mode](server, server.requests[-1])
        if mode == "hang":
            await asyncio.sleep(60)
        if str(file.filename).rpartition(".")[2] not in AUDIO_FORMATS:
            message = "Unrecognized file format."
            return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, 400)
        text = content.partition(b"|")[2].decode()
        if mode == "seconds":
            return JSONResponse({"text": text, "usage": {"type": "duration", "seconds": 7}})
        usage = {
            "type": "tokens", "input_tokens": 14, "output_tokens": 4, "total_tokens": 18,
            "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        }  # fmt: skip
        return JSONResponse({"text": text, "usage": usage})

    return application


AUDIO_FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "ogg", "wav", "webm")


Handler = Callable[[ModelServer, dict[str, Any]], Awaitable[Response]]


async def _answer_as_usual(server: ModelServer, asked: dict[str, Any]) -> Response:
    if (seen := _seen(asked)) is not None:
        return _completion(asked, f"A picture of {len(seen)} bytes.") if seen else _no_picture()
    text = json.dumps(RIGHT) if "response_format" in asked else ANSWER
    return _completion(asked, text)


def _seen(asked: dict[str, Any]) -> bytes | None:
    """The picture of the last message, by OpenAI's reference: a part of type image_url with a data URL. b"" when it is
    not in that form, None when there is none."""
    content = asked["messages"][-1]["content"]
    if isinstance(content, str):
        return None
    for part in content:
        if part.get("type") == "image_url":
            head, _, data = str(part["image_url"]["url"]).partition(";base64,")
            return base64.b64decode(data, validate=True) if head.startswith("data:image/") else b""
    return b""


def _no_picture() -> Response:
    message = "Invalid image data."
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, 400)


async def _hang(server: ModelServer, asked: dict[str, Any]) -> Response:
    await asyncio.sleep(60)
    return _completion(asked, ANSWER)


async def _slow(server: ModelServer, asked: dict[str, Any]) -> Response:
    await asyncio.sleep(0.15)
    return await _answer_as_usual(server, asked)


async def _wrong_then_right(server: ModelServer, asked: dict[str, Any]) -> Response:
    first = server.asked(asked["model"]) == 1
    return _completion(asked, json.dumps(WRONG if first else RIGHT))


async def _always_wrong(server: ModelServer, asked: dict[str, Any]) -> Response:
    return _completion(asked, "I would rather tell you a story.")


async def _rubbish(server: ModelServer, asked: dict[str, Any]) -> Response:
    return PlainTextResponse("<html>502 from a proxy</html>", media_type="application/json")


async def _no_choices(server: ModelServer, asked: dict[str, Any]) -> Response:
    return JSONResponse(
        {"id": "x", "object": "chat.completion", "created": 1, "model": asked["model"], "choices": []}
    )


def _failing(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Handler:
    async def fail(server: ModelServer, asked: dict[str, Any]) -> Response:
        return JSONResponse({"error": {"message": message, "type": code, "code": code}}, status, headers)

    return fail


async def _fails_once(server: ModelServer, asked: dict[str, Any]) -> Response:
    if server.asked(asked["model"]) == 1:
        return JSONResponse({"error": {"message": "a hiccup", "type": "server_error"}}, 500)
    return await (_stream_as_usual if asked.get("stream") else _answer_as_usual)(server, asked)


def _completion(asked: dict[str, Any], text: str) -> JSONResponse:
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return JSONResponse(
        {
            "id": "c1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [message],
            "usage": usage,
        }
    )


def _streamed(server: ModelServer, asked: dict[str, Any], pieces: AsyncIterator[str]) -> Response:
    async def watched() -> AsyncIterator[str]:
        done = False
        try:
            async for piece in pieces:
                yield piece
            done = True
        finally:
            if not done:
                server.closed_streams.append(asked["model"])
                server.stream_left.set()

    return StreamingResponse(watched(), media_type="text/event-stream")


def _chunk(asked: dict[str, Any], text: str | None, finish: str | None = None) -> str:
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": asked["model"],
        "choices": [choice],
    }
    return f"data: {json.dumps(body)}\n\n"


def _usage_chunk(asked: dict[str, Any]) -> str:
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    body = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": asked["model"],
        "choices": [],
        "usage": usage,
    }
    return f"data: {json.dumps(body)}\n\n"


async def _stream_as_usual(server: ModelServer, asked: dict[str, Any]) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for text in PIECES:
            yield _chunk(asked, text)
        yield _chunk(asked, None, "stop")
        yield _usage_chunk(asked)
        yield "data: [DONE]\n\n"

    return _streamed(server, asked, pieces())


async def _stream_silence(server: ModelServer, asked: dict[str, Any]) -> Response:
    async def pieces() -> AsyncIterator[str]:
        yield ": connected\n\n"
        await asyncio.sleep(60)

    return _streamed(server, asked, pieces())


async def _stream_stalls(server: ModelServer, asked: dict[str, Any]) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for text in PIECES[:2]:
            yield _chunk(asked, text)
        await asyncio.sleep(60)

    return _streamed(server, asked, pieces())


async def _stream_rubbish(server: ModelServer, asked: dict[str, Any]) -> Response:
    async def pieces() -> AsyncIterator[str]:
        yield "data: {not json at all\n\n"
        yield "data: \ufffd\ufffd\n\n"

    return _streamed(server, asked, pieces())


async def _stream_turns_rubbish(server: ModelServer, asked: dict[str, Any]) -> Response:
    async def pieces() -> AsyncIterator[str]:
        for text in PIECES[:2]:
            yield _chunk(asked, text)
        yield "data: {not json at all\n\n"

    return _streamed(server, asked, pieces())


async def _stream_cut(server: ModelServer, asked: dict[str, Any]) -> Response:
    """Announces more bytes than it sends, then closes: what a crashing provider looks like."""
    body = "".join(_chunk(asked, text) for text in PIECES[:2])

    async def pieces() -> AsyncIterator[str]:
        yield body

    return StreamingResponse(
        pieces(), media_type="text/event-stream", headers={"content-length": str(len(body) + 1000)}
    )


async def _stream_endless(server: ModelServer, asked: dict[str, Any]) -> Response:
    async def pieces() -> AsyncIterator[str]:
        while True:
            yield _chunk(asked, "la ")
            await asyncio.sleep(0)

    return _streamed(server, asked, pieces())


async def _stream_empty(server: ModelServer, asked: dict[str, Any]) -> Response:
    async def pieces() -> AsyncIterator[str]:
        yield _chunk(asked, None, "stop")
        yield "data: [DONE]\n\n"

    return _streamed(server, asked, pieces())


_TOO_LONG = (
    "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000 tokens."
)
_FAILURES: dict[str, Handler] = {
    "500": _failing(500, "server_error", "The server had an error."),
    "429": _failing(429, "rate_limit_exceeded", "Rate limit reached.", {"retry-after": "7"}),
    "401": _failing(401, "invalid_api_key", "Incorrect API key provided."),
    "404": _failing(404, "model_not_found", "The model does not exist."),
    "too_long": _failing(400, "context_length_exceeded", _TOO_LONG),
    "fails_once": _fails_once,
}
ANSWERS: dict[str, Handler] = {
    **_FAILURES,
    "slow": _slow,
    "hang": _hang,
    "rubbish": _rubbish,
    "no_choices": _no_choices,
    "wrong_then_right": _wrong_then_right,
    "always_wrong": _always_wrong,
}
STREAMS: dict[str, Handler] = {
    **_FAILURES,
    "hang": _hang,
    "silence": _stream_silence,
    "stalls": _stream_stalls,
    "rubbish": _stream_rubbish,
    "turns_rubbish": _stream_turns_rubbish,
    "cut": _stream_cut,
    "endless": _stream_endless,
    "empty": _stream_empty,
}
