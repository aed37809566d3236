"""What the engine sees: the scene in the picture of a request.

In: an image URL of the `data:` form. Out: the scene, or None where the picture shows nothing of the world.
"""

import base64
import binascii
from collections import OrderedDict
from hashlib import sha256

from comd.scripted.errors import ApiError
from comd.world.perception import perceive
from comd.world.scene import Scene

_CAPACITY = 20_000
_seen: OrderedDict[bytes, Scene | None] = OrderedDict()
"""Scenes by the digest of their image URL, least recently used first: one picture is asked about many times."""


def scene_of(url: str) -> Scene | None:
    """The scene behind a `data:` URL; ApiError 400 where the URL holds no data."""
    digest = sha256(url.encode()).digest()
    if digest in _seen:
        _seen.move_to_end(digest)
        return _seen[digest]
    scene = perceive(_decoded(url))
    _seen[digest] = scene
    if len(_seen) > _CAPACITY:
        _seen.popitem(last=False)
    return scene


def _decoded(url: str) -> bytes:
    head, comma, data = url.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        raise ApiError(
            400, "image_url must be a data: URL in base64; nothing is fetched", "invalid_image_url"
        )
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ApiError(400, f"image_url holds no base64: {error}", "invalid_image_url") from error
