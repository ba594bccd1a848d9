"""The server's pages: a playground at `/`, and the API documentation at `/docs`.

Their files are in the folder playground. They load nothing from elsewhere, and their addresses are relative, so that they
also work behind a proxy that adds a prefix.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi.responses import Response

from commentwise.serving.http.wire_format import WireFormat

PAGES = WireFormat("pages")
_FOLDER = Path(__file__).with_name("playground")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_ADDRESSES = {"index.html": "/", "docs.html": "/docs"}
"""The pages; any other file is at /playground/ with its name."""


def _sender(path: Path) -> Callable[[], Awaitable[Response]]:
    """Return a route's function that answers with a file, which is read once."""
    content, media_type = path.read_bytes(), _TYPES[path.suffix]

    async def send() -> Response:
        return Response(content, media_type=media_type)

    return send


for _path in sorted(_FOLDER.iterdir()):
    PAGES.page(_ADDRESSES.get(_path.name, f"/playground/{_path.name}"))(_sender(_path))
