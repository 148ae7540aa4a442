"""Entity tags on what changes seldom, so that a client can ask whether its copy still holds (RFC 9110 section 13).

As at the real services: the clouds' price lists and the public lists of the Console API have them, prices of the
moment and everything behind a key do not. A tag names the bytes that are sent, right or wrong, so this stands before
the failures that change them.
"""

import hashlib
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS: Final = (
    "/clouds/aws/",
    "/clouds/azure/",
    "/akash/v1/providers",
    "/akash/v1/gpu-prices",
    "/akash/v1/auditors",
)
OF_A_BODY: Final = frozenset({b"content-length", b"content-type"})


class ValidatorMiddleware:
    """Tags successful reads below `PATHS`, and answers 304 without a body when the client holds the same bytes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(PATHS):
            await self._app(scope, receive, send)
            return
        asked = Headers(scope=scope).get("if-none-match", "")
        held: list[Message] = []

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            if held:
                start = held.pop()
                # What comes in several parts breaks off: it has no tag.
                if start["status"] == 200 and not message.get("more_body", False):
                    start, message = _tagged(start, message, asked)
                await send(start)
            await send(message)

        await self._app(scope, receive, tagged)


def _tagged(start: Message, body: Message, asked: str) -> tuple[Message, Message]:
    """The answer with its tag, or the short one where `asked` names it."""
    tag = f'"{hashlib.sha256(body.get("body", b"")).hexdigest()[:32]}"'
    headers = [*start["headers"], (b"etag", tag.encode())]
    if tag not in (each.strip().removeprefix("W/") for each in asked.split(",")):
        return {**start, "headers": headers}, body
    kept = [(name, value) for name, value in headers if name.lower() not in OF_A_BODY]
    return {**start, "status": 304, "headers": kept}, {**body, "body": b""}
