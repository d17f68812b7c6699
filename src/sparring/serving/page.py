"""The files of the page, read once, so that nothing a client names is ever looked for on the disk."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.responses import Response

from sparring.serving.errors import RequestError

FOLDER = Path(__file__).parent / "pages"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Pages:
    """Content, type and version of each file by its name."""

    files: dict[str, tuple[bytes, str, str]]

    @classmethod
    def read(cls) -> "Pages":
        """All files of the package's folder."""
        found = {}
        for path in sorted(FOLDER.iterdir()):
            if path.suffix in TYPES:
                content = path.read_bytes()
                tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
                found[path.name] = content, TYPES[path.suffix], tag
        return cls(found)

    def answer(self, name: str, known: str | None) -> Response:
        """A file; nothing but a word if the client has it.

        Raises: RequestError if there is none of that name.
        """
        if name not in self.files:
            raise RequestError("not_found", "the page has no such part")
        content, kind, tag = self.files[name]
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if known == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)
