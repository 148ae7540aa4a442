"""An exported log over HTTP, as C2SP tlog-tiles asks: static files, read-only, cached for ever where they never change.

Only what the formats name is served. Openings of committed values, which an export may hold for one recipient, are not.
"""

import re
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_NOT_LONG: Final = "no-cache"
_NUMBER: Final = r"(x[0-9]{3}/)*[0-9]{3}(\.p/[1-9][0-9]{0,2})?"
_FILES: Final = [
    (re.compile(r"checkpoint|vkey"), _TEXT, _NOT_LONG),
    (re.compile(r"(policy|registry)\.json"), "application/json", _NOT_LONG),
    (re.compile(r"checkpoint\.[0-9]+"), _TEXT, _FOR_EVER),
    (re.compile(rf"tile/([0-9]|[1-5][0-9]|6[0-3]|entries)/{_NUMBER}"), _BYTES, _FOR_EVER),
    (re.compile(r"proof/[0-9]+\.tlog-proof"), _TEXT, _NOT_LONG),
    (re.compile(r"anchors/[0-9]+\.[A-Za-z0-9_-]+\.tsr"), "application/timestamp-reply", _FOR_EVER),
    (re.compile(r"anchors/[A-Za-z0-9_-]+\.pem"), "application/x-pem-file", _NOT_LONG),
]
"""path, media type, caching: everything that may be asked for"""
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": "*"}


def log_application(folder: Path) -> Starlette:
    """An application that answers GET and HEAD for the files of an export, and 404 to everything else."""
    root = folder.resolve()

    async def file(request: Request) -> Response:
        path = request.path_params["path"]
        for pattern, media_type, caching in _FILES:
            if pattern.fullmatch(path):
                found = (root / path).resolve()  # a link in the folder must not lead out of it
                if found.is_file() and found.is_relative_to(root):
                    return FileResponse(found, media_type=media_type, headers=_HEADERS | {"Cache-Control": caching})
        raise HTTPException(404)

    return Starlette(routes=[Route("/{path:path}", file, methods=["GET"])])
