"""The image store: content-addressed, only sound pictures, clear refusals."""

import base64
import hashlib
import io
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from shared.errors import BadRequest, Forbidden, NotFound, Unprocessable
from shared.images import ImageStore, data_url_bytes
from shared.messages import resolve_images, user_message
from shared.pillow_warnings import pillow_warnings_are_errors


def picture(form: str = "PNG", size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path / "a folder"))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_what_goes_in_comes_out(store: ImageStore, form: str) -> None:
    data = picture(form)
    sha256 = store.put(data)
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert store.put(data) == sha256
    assert store.read(sha256) == data
    assert store.data_url(sha256).startswith(f"data:image/{form.lower()};base64,")


@pytest.mark.parametrize(
    "data", [b"", b"not a picture", picture()[:-40], picture("GIF"), picture("JPEG")[:200]]
)
def test_an_unsound_picture_is_refused_by_name(store: ImageStore, data: bytes) -> None:
    with pytest.raises(Unprocessable, match=r"^cat\.png: not a readable"):
        store.put(data, "cat.png")


def test_names_that_are_not_there_or_no_names(store: ImageStore) -> None:
    with pytest.raises(NotFound, match="not in the image store"):
        store.read("0" * 64)
    with pytest.raises(Unprocessable, match="not a sha256"):
        store.read("../../etc/passwd")


def test_messages_leave_with_the_picture_inside(store: ImageStore) -> None:
    sha256 = store.put(picture())
    messages = resolve_images([user_message(sha256, "What?")], store, frozenset(), with_uuid=True)
    part = messages[0]["content"][0]
    assert part["uuid"] == sha256
    assert part["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("url", ["http://127.0.0.1/a.png", "file:///etc/passwd", "/etc/passwd", "ftp://a/b"])
def test_no_url_is_passed_on_that_the_operator_did_not_allow(store: ImageStore, url: str) -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    with pytest.raises(Forbidden, match="allowed_image_hosts"):
        resolve_images([message], store, frozenset({"pictures.example"}), with_uuid=False)


def test_a_picture_part_without_url_is_refused(store: ImageStore) -> None:
    with pytest.raises(BadRequest, match="image_url"):
        resolve_images([{"role": "user", "content": [{"type": "image_url"}]}], store, frozenset(), False)


def test_a_data_url_gives_its_picture_or_says_why_not() -> None:
    data = picture()
    assert data_url_bytes(f"data:image/png;base64,{base64.b64encode(data).decode()}") == data
    for url, said in (
        ("data:image/png,abc", "expected a data: URL in base64"),
        ("data:image/png;base64,###", "does not hold base64"),
        ("data:image/png;base64,\u00e9", "does not hold base64"),
        ("data:image/png;base64,QUJD", "not a readable"),
    ):
        with pytest.raises((BadRequest, Unprocessable), match=said):
            data_url_bytes(url)


def test_pillows_warnings_are_errors_in_threads_too_and_the_filters_come_back() -> None:
    warnings.simplefilter("ignore")  # else it is the filter of the tests that makes errors
    before = list(warnings.filters)
    enter, leave = threading.Barrier(4), threading.Barrier(4)

    def decode(place: int) -> bool:
        enter.wait(10)
        with pillow_warnings_are_errors():
            leave.wait(10)
            try:
                warnings.warn_explicit("odd picture", UserWarning, "Image.py", place, module="PIL.Image")
            except UserWarning:
                return True
        return False

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(decode, range(4))) == [True] * 4
    assert warnings.filters == before
