"""What may stand in a message that leaves for an engine: a table of parts, URLs and pictures that may not."""

import base64
import io
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shared.byte_cache import ByteCache
from shared.errors import ComdError, Unprocessable
from shared.hosts import leads_to_allowed
from shared.images import ImageStore, check
from shared.messages import messages_for_engine, resolve_images, user_message

ALLOWED = frozenset({"pictures.example", "kitten.example", "gpu7:8443", "[::1]:80", "10.0.0.1"})


def encoded(form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, form, **options)
    return buffer.getvalue()


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def animated(form: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    return encoded(form, save_all=True, append_images=frames)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose head claims a size, over little data."""
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path))


def leaving(store: ImageStore, *parts: Any, role: str = "user", with_uuid: bool = False) -> list[Any]:
    message = {"role": role, "content": list(parts)}
    return list(resolve_images([message], store, ALLOWED, with_uuid)[0]["content"])


def url_part(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "url",
    [
        "https://pictures.example/a.png",
        "http://pictures.example:8080/a.png",
        "HTTPS://PICTURES.Example./a.png?size=2#part",
        "https://gpu7:8443/a.png",
        "http://[::1]/a.png",
        "http://[0:0:0:0:0:0:0:1]:80/a.png",
        "http://10.0.0.1:99/a.png",
    ],
)
def test_an_allowed_hosts_picture_is_passed_on(store: ImageStore, url: str) -> None:
    assert leaving(store, url_part(url)) == [url_part(url)]


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example@evil.example/a.png",
        "http://pictures.example:80@evil.example/a.png",
        "http://user:secret@pictures.example/a.png",
        "http://evil.example\\@pictures.example/a.png",
        "http://evil.example/pictures.example",
        "http://evil.example?pictures.example",
        "http://evil.example#@pictures.example",
        "http://pictures.example.evil.example/a.png",
        "http://notpictures.example/a.png",
        "http://pictures.example%2eevil.example/a.png",
        "http://pictures%2eexample/a.png",
        "http://pictures.example\t.evil.example/a.png",
        "http://pictures.exa\nmple/a.png",
        " http://pictures.example/a.png",
        "http:\\\\pictures.example/a.png",
        "http:/pictures.example/a.png",
        "http:pictures.example",
        "//pictures.example/a.png",
        "http://\uff50ictures.example/a.png",
        "http://\u212aitten.example/a.png",  # the Kelvin sign, whose lower case is a k
        "http://pictures\u3002example/a.png",
        "http://pictures.example:port/a.png",
        "http://pictures.example:99999/a.png",
        "https://gpu7/a.png",
        "http://gpu7:8443@gpu7:22/",
        "http://[::1/a.png",
        "http://[::1]:81/a.png",
        "http://[::ffff:10.0.0.1]/a.png",
        "http://167772161/a.png",
        "http://0x0a.0.0.1/a.png",
        "http:///a.png",
        "http://..",
        "https://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "file://pictures.example/etc/passwd",
        "/etc/passwd",
        "../../etc/passwd",
        "ftp://pictures.example/a.png",
        "gopher://pictures.example/",
        "s3://pictures.example/a.png",
        "javascript:alert(1)",
        "DATA:image/png;base64,AAAA",
        "blob:http://pictures.example/1",
        "",
    ],
)
def test_no_other_url_leaves(store: ImageStore, url: str) -> None:
    for part in (url_part(url), {"type": "image_url", "image_url": url}):
        with pytest.raises(ComdError, match=r"^messages\[0\]\.content\[1\]: image url .*allowed_image_hosts"):
            leaving(store, {"type": "text", "text": "look"}, part, role="assistant")


def test_nothing_is_allowed_by_an_empty_list() -> None:
    assert not leads_to_allowed("http://pictures.example/", frozenset())
    assert not leads_to_allowed("http://:80/", frozenset({"", ":80"}))


PARTS = [
    ({"type": "video_url", "video_url": {"url": "http://a"}}, "content[0]: expected a part of type"),
    ({"type": "input_audio", "input_audio": {"data": ""}}, "content[0]: expected a part of type"),
    ({"type": "audio_url", "audio_url": {"url": "file:///a"}}, "content[0]: expected a part of type"),
    ({"type": "file", "file": {"file_id": "f"}}, "content[0]: expected a part of type"),
    ({"type": "input_image", "image_url": "http://a"}, "content[0]: expected a part of type"),
    ({"type": "image_embeds", "image_embeds": "AAAA"}, "content[0]: expected a part of type"),
    ({"image_url": {"url": "http://a"}}, "content[0]: expected a part of type"),
    ({"type": ["text"], "text": "a"}, "content[0]: expected a part of type"),
    ("http://a", "content[0]: expected a part of type"),
    (None, "content[0]: expected a part of type"),
    (
        {"type": "text", "text": "a", "uuid": "1", "video_url": {"url": "file:///etc/passwd"}},
        "content[0].uuid: unknown field; taken are text, type",
    ),
    ({"type": "text", "text": {"url": "http://a"}}, "content[0].text: expected a text"),
    ({"type": "image_url"}, "content[0].image_url: expected {'url': '...'}, got None"),
    ({"type": "image_url", "image_url": {"url": ["http://a"]}}, "content[0].image_url: expected"),
    ({"type": "image_url", "image_url": {"url": "data:", "path": "/etc"}}, "image_url.path: unknown field"),
    ({**url_part("data:"), "uuid": "cat"}, "content[0].uuid: unknown field"),
]


@pytest.mark.parametrize("role", ["user", "assistant", "tool", "system"])
@pytest.mark.parametrize(("part", "said"), PARTS)
def test_a_part_that_could_name_something_to_fetch_is_refused(
    store: ImageStore, part: Any, said: str, role: str
) -> None:
    with pytest.raises(ComdError) as refused:
        leaving(store, part, role=role)
    assert refused.value.message.startswith("messages[0].content[0]")
    assert said in refused.value.message
    assert refused.value.status == 400


@pytest.mark.parametrize("content", [{"type": "text"}, 7, True, {"url": "http://a"}])
def test_content_is_a_text_or_a_list(store: ImageStore, content: Any) -> None:
    with pytest.raises(ComdError, match=r"messages\[0\]\.content: expected a text or a list"):
        resolve_images([{"role": "user", "content": content}], store, ALLOWED, False)


def test_plain_messages_pass_as_they_are(store: ImageStore) -> None:
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    messages = [
        {"role": "user", "content": "hi"},
        call,
        {"role": "tool", "content": "x", "tool_call_id": "1"},
    ]
    assert resolve_images(messages, store, ALLOWED, False) == messages
    parts = [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "no"}]
    assert leaving(store, *parts, role="assistant") == parts


PNG = encoded()
PICTURES = [
    (data_url(PNG[:-30]), "not a readable"),
    (data_url(encoded("JPEG")[:150]), "not a readable"),
    (data_url(encoded("WEBP")[:40]), "not a readable"),
    (data_url(encoded("GIF"), "image/gif"), "not a readable"),
    (data_url(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"), "not a readable"),
    (data_url(b"%PDF-1.7", "application/pdf"), "not a readable"),
    (data_url(png_of_size(60_000, 60_000)), "3600000000 pixels.*at most 50000000 pixels"),
    (data_url(png_of_size(9000, 9000)), "9000 x 9000 pixels; at most"),
    (data_url(png_of_size(2**31 - 1, 2**31 - 1)), "at most|not a readable"),
    (data_url(png_of_size(400, 400)), "not a readable"),
    (data_url(animated("WEBP"), "image/webp"), "animated"),
    (data_url(animated("PNG")), "animated"),
    (data_url(PNG)[:-8] + "!!!!", "does not hold base64"),
    (data_url(PNG).replace(",", ",,"), "does not hold base64"),
    (f"data:image/png,{PNG.hex()}", "expected a data: URL in base64"),
    ("data:image/png;base64,", "not a readable"),
    ("data:image/png;base64," + "A" * 29_000_000, "20971520 bytes at most"),
    ("data:\ud800;base64,AAAA", "not a readable"),
]


@pytest.mark.parametrize(("url", "said"), PICTURES, ids=range(len(PICTURES)))
def test_an_unsound_picture_does_not_leave(store: ImageStore, url: str, said: str) -> None:
    for _ in range(2):  # it is not taken for a known one the second time
        with pytest.raises(ComdError, match=rf"^messages\[0\]\.content\[0\]: .*({said})"):
            leaving(store, url_part(url))


def test_a_sound_picture_leaves_under_its_true_type(store: ImageStore) -> None:
    webp = encoded("WEBP")
    sent = {"type": "image_url", "image_url": {"url": data_url(webp, "image/webp"), "detail": "low"}}
    claimed = {"url": data_url(webp, "text/html"), "detail": "low"}
    assert leaving(store, {"type": "image_url", "image_url": claimed}) == [sent]
    for data in (encoded("JPEG") + b"what a camera left behind", PNG + b"\0" * 9):
        assert leaving(store, url_part(data_url(data)))


def test_a_cameras_several_pictures_are_a_jpeg() -> None:
    more = [Image.new("RGB", (8, 8), "blue")]
    assert check(encoded("MPO", save_all=True, append_images=more), "photo") == "image/jpeg"


def test_equal_data_urls_are_decoded_once(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    load = Image.Image.load
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: (decoded.append(1), load(self))[1])
    url = data_url(encoded("JPEG", quality=37))
    for _ in range(3):
        leaving(store, url_part(url))
    assert len(decoded) == 1


def test_a_damaged_file_of_the_store_does_not_leave_and_is_mended_by_import(
    store: ImageStore, tmp_path: Path
) -> None:
    data = encoded("JPEG")
    sha256 = store.put(data)
    file = tmp_path / sha256[:2] / sha256
    for damaged in (data[:-50], b"", encoded("PNG")):
        file.write_bytes(damaged)
        with pytest.raises(
            Unprocessable, match=rf"^messages\[0\]\.content\[0\]: picture {sha256} is damaged"
        ):
            resolve_images([user_message(sha256, "What?")], store, ALLOWED, True)
    store.put(data)
    assert leaving(store, url_part(f"comd-image:{sha256}"), with_uuid=True)[0]["uuid"] == sha256


def test_a_stored_picture_is_read_and_encoded_once(store: ImageStore, tmp_path: Path) -> None:
    sha256 = store.put(PNG)
    assert not store.is_kept(sha256)
    first = store.data_url(sha256)
    (tmp_path / sha256[:2] / sha256).unlink()
    assert store.is_kept(sha256)
    assert store.data_url(sha256) is first


async def test_only_what_is_at_hand_is_done_on_the_event_loop(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, threads = threading.get_ident(), list[int]()
    read = ImageStore.read
    monkeypatch.setattr(
        ImageStore,
        "read",
        lambda self, sha256: (threads.append(threading.get_ident()), read(self, sha256))[1],
    )
    stored = user_message(store.put(PNG), "What?")
    for _ in range(2):
        await messages_for_engine([stored], store, ALLOWED, True)
    assert len(threads) == 1
    assert here not in threads
    checked = list[int]()
    monkeypatch.setattr(
        "shared.messages.sound_data_url", lambda url: (checked.append(threading.get_ident()), url)[1]
    )
    await messages_for_engine([{"role": "user", "content": [url_part(data_url(PNG))]}], store, ALLOWED, True)
    assert checked
    assert here not in checked


def test_a_cache_keeps_the_latest_used_within_its_bound() -> None:
    cache = ByteCache(10)
    for key, text in (("a", "1234"), ("b", "5678")):
        assert cache.get(key, lambda text=text: text) == text  # type: ignore[misc]
    cache.get("a", lambda: pytest.fail("it was kept"))
    cache.get("c", lambda: "9012")
    assert ("a" in cache, "b" in cache, "c" in cache) == (True, False, True)
    assert cache.get("huge", lambda: "x" * 99) == "x" * 99
    assert "huge" not in cache
    assert cache.get("d", lambda: "after") == "after"
    assert "d" in cache


def test_a_cache_makes_a_text_once_for_all_threads() -> None:
    cache, made, begun = ByteCache(10), list[int](), threading.Barrier(8)

    def ask() -> None:
        begun.wait()
        cache.get("key", lambda: (made.append(1), "text")[1])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
