"""Pictures that somebody outside sends as `data:` URLs. In: a URL. Out: the same picture's URL, proven sound.

Equal URLs are decoded once.
"""

import hashlib

from shared.byte_cache import ByteCache
from shared.errors import TooLarge
from shared.images import MAX_BYTES, read_data_url

NUM_KNOWN = 4096

_media_types = ByteCache(
    NUM_KNOWN, size_of=lambda _: 1
)  # by the URL's hash; the URLs themselves are not kept


def sound_data_url(url: str) -> str:
    """The URL with its media type put right. Raises BadRequest, TooLarge or Unprocessable where it is no picture."""
    if len(url) > MAX_BYTES * 4 // 3 + 100:
        raise TooLarge(f"a picture in a data: URL may have {MAX_BYTES} bytes at most")
    name = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
    head = f"data:{_media_types.get(name, lambda: read_data_url(url)[1])};base64,"
    return url if url.startswith(head) else head + url.partition(",")[2]
