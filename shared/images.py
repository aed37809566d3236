"""The image store: pictures by the sha256 of their bytes, under a folder or any fsspec URL.

Between our parts a picture travels as `comd-image:<sha256>`; it is encoded once, where it leaves for an engine.
"""

import base64
import binascii
import hashlib
import io
import re

import fsspec
from PIL import Image

from shared.byte_cache import ByteCache
from shared.errors import BadRequest, ComdError, NotFound, TooLarge, Unprocessable
from shared.pillow_warnings import pillow_warnings_are_errors
from shared.types import IMAGE_SCHEME

FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
MULTI_PICTURE = "MPO"  # a JPEG with further pictures behind it, as cameras write; readers see the first
MAX_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000
CACHED_BYTES = 256 * 1024 * 1024
SHA256 = re.compile(r"[0-9a-f]{64}")


def reference(sha256: str) -> str:
    """How a picture is named in a message between our parts."""
    return IMAGE_SCHEME + sha256


def check(data: bytes, name: str) -> str:
    """Decode the whole picture and give its media type.

    Raises Unprocessable or TooLarge, naming the picture, where it is not one sound JPEG, PNG or WebP picture.
    Bytes behind the picture are let be: cameras write them, and readers stop before.
    """
    if len(data) > MAX_BYTES:
        raise TooLarge(f"{name}: {len(data)} bytes; a picture may have {MAX_BYTES} at most")
    try:
        with (
            pillow_warnings_are_errors(),
            Image.open(io.BytesIO(data), formats=list(FORMATS)) as picture,
        ):
            if picture.width * picture.height > MAX_PIXELS:
                raise TooLarge(f"{name}: {picture.width} x {picture.height} pixels; at most {MAX_PIXELS}")
            if getattr(picture, "is_animated", False) and picture.format != MULTI_PICTURE:
                raise Unprocessable(f"{name}: animated; expected a still picture, send the frame you mean")
            picture.load()
            return FORMATS.get(str(picture.format), FORMATS["JPEG"])
    except ComdError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLarge(f"{name}: {error}; at most {MAX_PIXELS} pixels are taken") from error
    except Exception as error:  # Pillow raises many kinds on hostile bytes
        raise Unprocessable(
            f"{name}: not a readable JPEG, PNG or WebP picture ({type(error).__name__}: {error})"
        ) from error


def data_url_bytes(url: str) -> bytes:
    """The picture inside a `data:` URL, checked to be a sound JPEG, PNG or WebP file."""
    return read_data_url(url)[0]


def read_data_url(url: str) -> tuple[bytes, str]:
    """The same with the media type that the bytes have, whatever the URL says of them."""
    head, _, body = url.partition(",")
    if len(body) > MAX_BYTES * 4 // 3 + 4:
        raise TooLarge(f"a picture in a data: URL may have {MAX_BYTES} bytes at most")
    if not head.endswith(";base64"):
        raise BadRequest(f"{head[:60]!r}: expected a data: URL in base64")
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: a character beyond ASCII
        raise BadRequest(f"the data: URL does not hold base64: {error}") from error
    return data, check(data, "picture in a data: URL")


class ImageStore:
    """Content-addressed pictures; written by the coordinator's import, read by everybody else."""

    def __init__(self, url: str, cached_bytes: int = CACHED_BYTES):
        self.url = url
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._data_urls = ByteCache(cached_bytes)

    def put(self, data: bytes, name: str = "picture") -> str:
        """Store a sound picture and give its sha256; a second time changes nothing, or mends what was damaged.

        The same bytes in the store were decoded when they came there, and are not decoded again.
        """
        sha256 = hashlib.sha256(data).hexdigest()
        path = self._path(sha256)
        if not self._files.exists(path) or self._files.cat_file(path) != data:
            check(data, name)
            self._files.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            draft = f"{path}.{id(data):x}.part"
            self._files.pipe_file(draft, data)
            self._files.mv(draft, path)
        return sha256

    def read(self, sha256: str) -> bytes:
        """The picture's bytes; NotFound where the store has none of that name, Unprocessable where it is damaged."""
        if not SHA256.fullmatch(sha256):
            raise Unprocessable(f"{sha256[:80]!r} is not a sha256; expected 64 hexadecimal digits")
        try:
            data = bytes(self._files.cat_file(self._path(sha256)))
        except FileNotFoundError as error:
            raise NotFound(
                f"picture {sha256} is not in the image store {self.url}; import its data set again"
            ) from error
        if (found := hashlib.sha256(data).hexdigest()) != sha256:
            raise Unprocessable(
                f"picture {sha256} is damaged in the image store {self.url}: its {len(data)} bytes have the "
                f"sha256 {found}; import its data set again"
            )
        return data

    def has(self, sha256: str) -> bool:
        """Whether the store has a picture of that name."""
        return bool(SHA256.fullmatch(sha256)) and bool(self._files.exists(self._path(sha256)))

    def data_url(self, sha256: str) -> str:
        """The picture as a `data:` URL, encoded once and kept while it is in use."""
        return self._data_urls.get(sha256, lambda: self._read_data_url(sha256))

    def is_kept(self, sha256: str) -> bool:
        """Whether `data_url` has it at hand and need not read."""
        return sha256 in self._data_urls

    def _read_data_url(self, sha256: str) -> str:
        data = self.read(sha256)
        return f"data:{media_type(data)};base64,{base64.b64encode(data).decode()}"

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}"


def media_type(data: bytes) -> str:
    """The media type by the file's first bytes (the store holds nothing but the three formats)."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    return "image/jpeg" if data.startswith(b"\xff\xd8") else "image/webp"
