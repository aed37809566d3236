"""Style sheet, icon and scripts of the pages, below a path that names their content, so that browsers keep them."""

import hashlib
from pathlib import Path

from fastapi import APIRouter, Response

from services.coordinator.dashboard.headers import SAFE
from shared.errors import NotFound

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
KEPT = {"cache-control": "public, max-age=31536000, immutable"}


class Assets:
    """The files, read once; `url` is where a page finds one."""

    def __init__(self, folder: Path = FOLDER):
        self._files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.suffix in TYPES
        }
        digest = hashlib.sha256()
        for name, data in self._files.items():
            digest.update(name.encode() + b"\0" + data)
        self._version = digest.hexdigest()[:16]

    def url(self, name: str) -> str:
        assert name in self._files, f"{name} is not among the assets"
        return f"/static/{self._version}/{name}"

    def router(self) -> APIRouter:
        routes = APIRouter(include_in_schema=False)

        @routes.get("/static/{version}/{name:path}")
        async def asset(version: str, name: str) -> Response:
            if version != self._version or name not in self._files:
                raise NotFound("there is no such asset; reload the page, which names those of this version")
            media_type = TYPES[Path(name).suffix]
            return Response(self._files[name], media_type=media_type, headers={**SAFE, **KEPT})

        return routes
