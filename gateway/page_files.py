"""The files of the page, read once from the package; nothing else of the disk can be asked for."""

import hashlib
from functools import cache
from importlib import resources
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """One file with its type and the tag that changes with its content."""

    content: bytes
    content_type: str
    etag: str


@cache
def files() -> dict[str, PageFile]:
    """All files of the page by name."""
    found = {}
    for path in resources.files("gateway").joinpath("page").iterdir():
        suffix = path.name.rpartition(".")[2]
        if suffix in _TYPES:
            content = path.read_bytes()
            found[path.name] = PageFile(content, _TYPES[suffix], '"' + hashlib.sha256(content).hexdigest()[:16] + '"')
    return found


def answer(name: str, known_etag: str | None) -> Response:
    """The file `name`, or 304 where the browser has it. Raises HTTPException 404."""
    file = files().get(name)
    if file is None:
        raise HTTPException(404, "not_found")
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if known_etag == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.content_type, headers=headers)
