"""Pictures for a page that carries them itself. In: a picture's bytes. Out: a `data:` URL, small."""

import base64
import io

from PIL import Image

from shared.images import media_type

AS_IT_IS = 32 * 1024  # bytes: a smaller file stays as it is, to the pixel
LARGEST = (480, 360)


def data_url(data: bytes) -> str | None:
    """Of a picture of the image store; None where the bytes cannot be shown."""
    return _url(media_type(data), data) if len(data) <= AS_IT_IS else thumbnail(data)


def thumbnail(data: bytes) -> str | None:
    """Of a file of any kind; None where it is no picture."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            small = picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    small.thumbnail(LARGEST)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return _url("image/jpeg", file.getvalue())


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
