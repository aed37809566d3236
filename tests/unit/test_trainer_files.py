"""Uploads: both formats, planted errors with their line and field, what is kept and what is not."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from services.trainer.chat import Turn, parse_line
from services.trainer.files import Files
from services.trainer.json_stream import MAX_RECORD_BYTES, cut
from shared.errors import NotFound, Unprocessable
from shared.images import ImageStore


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(str(tmp_path / "images"))


@pytest.fixture
def sha256(store: ImageStore) -> str:
    return store.put(png())


@pytest.fixture
def files(tmp_path: Path, store: ImageStore, sha256: str) -> Files:
    return Files(tmp_path / "files", store, lambda: 7)


def user(text: Any = "what?", *urls: str) -> dict[str, Any]:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return {"role": "user", "content": [*pictures, {"type": "text", "text": text}] if urls else text}


def assistant(text: Any = "red", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def chat(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": messages or (user(), assistant()), **more}


def llava(*turns: tuple[str, Any], **more: Any) -> dict[str, Any]:
    said = turns or (("human", "what?"), ("gpt", "red"))
    return {"id": "1", "conversations": [{"from": who, "value": what} for who, what in said], **more}


def data_url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def add(files: Files, content: bytes) -> dict[str, Any]:
    return files.add(io.BytesIO(content), "a.jsonl")


def add_lines(files: Files, *values: Any) -> dict[str, Any]:
    return add(files, b"".join(json.dumps(value).encode() + b"\n" for value in values))


def refusal(files: Files, content: bytes) -> str:
    """The message with which an upload is refused; nothing of it may be left."""
    with pytest.raises(Unprocessable) as caught:
        add(files, content)
    assert (caught.value.code, caught.value.param) == ("invalid_training_file", "file")
    assert list(files.folder.iterdir()) == []
    return caught.value.message


ONCE = "one picture at most, in the first user message"
CHAT_ERRORS: list[tuple[Any, str]] = [
    ([], ", messages: expected an object with a list of messages"),
    ("text", ", messages: expected an object"),
    ({"messages": {}}, ", messages: expected an object with a list"),
    ({"prompt": "a", "completion": "b"}, ", messages: expected an object"),
    (chat(colour=1), ", colour: unknown field; expected id, messages"),
    (chat(tools=[]), ", tools: is not taken: the student uses no tools"),
    (chat(functions=[]), ", functions: is not taken"),
    (chat(parallel_tool_calls=True), ", parallel_tool_calls: is not taken"),
    (chat(id=7), ", id: expected a text, got 7"),
    ({"messages": []}, ", messages: expected a user's message and the assistant's answer"),
    (chat({"role": "system", "content": "x"}), ", messages: expected a user's message"),
    (chat(user()), r", messages[0]: a question without an answer"),
    (chat(user(), assistant(), user()), ", messages[2]: a question without an answer"),
    (chat(assistant(), user()), ", messages[0].role: expected user, got 'assistant'"),
    (chat(user(), assistant(), assistant()), ", messages[2].role: expected user, got 'assistant'"),
    (chat(user(), user(), assistant()), ", messages[1].role: expected assistant, got 'user'"),
    (
        chat(user(), {"role": "system", "content": "x"}),
        ", messages[1].role: expected assistant, got 'system'",
    ),
    (chat(user(), {"role": "tool", "content": "x"}), ", messages[1].role: expected assistant, got 'tool'"),
    (chat({"content": "x"}, assistant()), ", messages[0].role: expected user, got None"),
    (chat("hello", assistant()), ", messages[0]: expected an object with role and content, got 'hello'"),
    (chat({**user(), "name": "ann"}, assistant()), ", messages[0].name: is not taken: the chat template"),
    (chat(user(), assistant(tool_calls=[])), ", messages[1].tool_calls: is not taken"),
    (chat(user(), assistant(function_call={})), ", messages[1].function_call: is not taken"),
    (
        chat(user(), assistant(refusal=None)),
        ", messages[1].refusal: unknown field; expected content, role, weight",
    ),
    (
        chat({**user(), "weight": 1}, assistant()),
        ", messages[0].weight: unknown field; expected content, role",
    ),
    (chat(user(), assistant(weight=2)), ", messages[1].weight: expected 0 or 1, got 2"),
    (chat(user(), assistant(weight=True)), ", messages[1].weight: expected 0 or 1, got True"),
    (chat(user(), assistant(weight=0)), ", messages: every answer has weight 0"),
    (chat(user(), assistant(None)), ", messages[1].content: expected a text or a list of parts, got None"),
    (chat(user(), assistant(" \n")), ", messages[1].content: is empty"),
    (chat(user([]), assistant()), ", messages[0].content: is empty"),
    (chat(user("a\0b"), assistant()), ", messages[0].content: holds the character U+0000"),
    (chat(user([{"type": "audio"}]), assistant()), ", messages[0].content[0]: part of type 'audio'"),
    (chat(user(["a"]), assistant()), ", messages[0].content[0]: part of type None"),
    (chat(user([{"type": "text", "text": 3}]), assistant()), ", messages[0].content[0]: part of type 'text'"),
    (
        chat(user([{"type": "text", "text": "a", "size": 3}]), assistant()),
        ", messages[0].content[0].size: unknown field; expected text, type",
    ),
    (
        chat(user(), assistant(user("a", "data:image/png;base64,")["content"])),
        ", messages[1].content[0]: part of",
    ),
    (
        chat(user("a", "http://x/y.png"), assistant()),
        ", messages[0].content[0].image_url: expected comd-image:",
    ),
    (
        chat(user("a", "comd-image:12"), assistant()),
        ", messages[0].content[0].image_url: expected comd-image:",
    ),
    (chat(user("a", "comd-image:" + "0" * 64), assistant()), ", messages[0].content: picture comd-image:000"),
    (
        chat(user("a", data_url(b"no picture")), assistant()),
        ", messages[0].content: picture in a data: URL: not a",
    ),
    (chat(user("a", data_url(png())[:-30]), assistant()), ", messages[0].content: "),
    (
        chat(user("a", "data:image/png;base64,%%"), assistant()),
        ", messages[0].content: the data: URL does not",
    ),
    (
        chat(user("a", "data:image/png,AA"), assistant()),
        ", messages[0].content: 'data:image/png': expected a data:",
    ),
    (chat(user("a", *[data_url(png())] * 2), assistant()), f", messages[0].content[1].image_url: {ONCE}"),
    (
        chat(user(), assistant(), user("a", data_url(png())), assistant()),
        f", messages[2].content[0].image_url: {ONCE}",
    ),
    (
        chat(user([{"type": "image_url", "image_url": {"url": data_url(png()), "detail": []}}]), assistant()),
        ", messages[0].content[0].image_url.detail: expected auto, low or high, got []",
    ),
]


@pytest.mark.parametrize(("planted", "said"), CHAT_ERRORS, ids=[said[2:50] for _, said in CHAT_ERRORS])
def test_a_planted_error_is_named_by_line_and_field(files: Files, planted: Any, said: str) -> None:
    lines = [chat(), planted, chat()]
    message = refusal(files, b"".join(json.dumps(line).encode() + b"\n" for line in lines))
    assert message.startswith("line 2" + said)


LLAVA_ERRORS: list[tuple[Any, str]] = [
    (llava(imgae="x"), ", imgae: unknown field; expected"),
    (llava(id=[]), ", id: expected a text, got []"),
    ({"id": "1", "conversations": "a"}, ", conversations: expected a list of turns"),
    ({"id": "1", "conversations": []}, ", conversations: expected a human's message"),
    ({"id": "1", "conversations": ["a"]}, ", conversations[0]: expected an object with from and value"),
    (llava(("robot", "a")), ", conversations[0].from: expected human, gpt or system, got 'robot'"),
    (llava(("human", 3)), ", conversations[0].value: expected a text, got 3"),
    (llava(("human", "a"), ("gpt", " ")), ", conversations[1].value: is empty"),
    (llava(("human", "a")), ", conversations[0]: a question without an answer"),
    (llava(("gpt", "a"), ("human", "b")), ", conversations[0].from: expected human, got 'gpt'"),
    (
        llava(image="coco/000000012345.jpg"),
        ", image: 'coco/000000012345.jpg' is a file name; the trainer opens no",
    ),
    (llava(image="/etc/passwd"), ", image: '/etc/passwd' is a file name"),
    (llava(image=["a", "b"]), ", image: ['a', 'b'] is not one picture's name"),
    (llava(image="0" * 64), ", image: picture comd-image:0000"),
    (llava(image="data:text/html,x"), ", image: expected comd-image: with a sha256, or data:image/"),
    (llava(image=data_url(b"no picture")), ", image: picture in a data: URL: not a readable"),
    (
        llava(("human", "<image>\na"), ("gpt", "b")),
        ", conversations[0].value: holds <image>, but the record names",
    ),
    (
        llava(("human", "<image><image>a"), ("gpt", "b"), image=data_url(png())),
        ", conversations[0].value: holds <image> 2 times; once at most",
    ),
    (
        llava(*[("human", "a"), ("gpt", "b"), ("human", "<image>"), ("gpt", "b")], image=data_url(png())),
        ", conversations[2].value: holds <image> 1 times",
    ),
]


@pytest.mark.parametrize(("planted", "said"), LLAVA_ERRORS, ids=[said[2:50] for _, said in LLAVA_ERRORS])
def test_a_planted_error_is_named_by_item_and_llavas_field(files: Files, planted: Any, said: str) -> None:
    message = refusal(files, json.dumps([llava(), planted, llava()], indent=1).encode())
    assert "item 2" + said in message
    assert f"line 1{said}" in refusal(files, json.dumps(planted).encode())


RAW_ERRORS = [
    (b"", "the file holds no records"),
    (b"\n \r\n", "the file holds no records"),
    (b" [ ] ", "the file holds no records"),
    (b"{", "line 1: not JSON"),
    (b'{"messages": NaN}', "line 1: not JSON"),
    (b'{"messages": "\\ud800"}', "line 1: not JSON: no low surrogate"),
    (b'{"messages": "\xed\xa0\x80"}', "line 1: not JSON: str is not valid UTF-8"),
    (b'{"messages": "a\x01b"}', "line 1: not JSON: unexpected control character"),
    (b'{"messages": "a\x00b"}', "line 1: not JSON: unexpected control character"),
    (b'{"messages": [], "messages": []}', "line 1: the key 'messages' stands twice in one object"),
    (b'{"messages": [{"role": "user", "role": "system"}]}', "line 1: the key 'role' stands twice"),
    (b'{"id":' * 1010 + b"1" + b"}" * 1010, "line 1: is nested too deeply"),
    (json.dumps(chat()).encode("utf-16"), "line 1: not JSON"),
    (b'{"messages": []} {"messages": []}', "line 1: not JSON: unexpected content after document"),
    (b'[{"id": 1, ', "item 1: the array does not end: the file is cut off"),
    (b'[{"id": "1]', "item 1: the array does not end"),
    (b'[{"id": 1]}, 2]', "item 1: not JSON"),
    (b"[1, 2]", "2 faults:\nitem 1, messages: expected an object"),
    (json.dumps([llava()]).encode()[:-1] + b",]", "item 2: is empty; there is a comma too many"),
    (json.dumps([llava()]).encode() + b"x", "item 2: expected nothing behind the array's closing bracket"),
    (json.dumps([llava()]).encode()[:-1] + b"}", "item 2: expected the array's closing bracket"),
]


@pytest.mark.parametrize(("content", "said"), RAW_ERRORS, ids=[said[:40] for _, said in RAW_ERRORS])
def test_what_is_no_json_is_named(files: Files, content: bytes, said: str) -> None:
    assert said in refusal(files, content)


def test_a_record_beyond_the_limit_is_told_and_the_rest_is_still_read(files: Files) -> None:
    long = b'{"id": "' + b"x" * 300 + b'"}'
    for content in (b"1\n" + long + b"\n2\n" + long, b"[1," + long + b",2," + long + b"]"):
        read = [raw.fault or raw.data.strip() for raw in cut(io.BytesIO(content), max_bytes=310).records]
        assert read == [b"1", long, b"2", long]
        read = [raw.fault or raw.data.strip() for raw in cut(io.BytesIO(content), max_bytes=300).records]
        assert read[::2] == [b"1", b"2"]
        assert all(str(fault).startswith("is longer than 300 bytes") for fault in read[1::2])
    message = refusal(files, b"\n" + b" " * (MAX_RECORD_BYTES + 1) + b"\n{\n")
    assert "2 faults:\nline 2: is longer than 33554432 bytes" in message
    assert "line 3: not JSON" in message


def test_the_first_twenty_faults_are_told_and_all_are_counted(files: Files) -> None:
    bad = chat({**user(), "name": "x"}, assistant(weight=3))
    message = refusal(files, b"\n".join(json.dumps(bad).encode() for _ in range(30)))
    first, *lines = message.split("\n")
    assert first == "60 faults, the first 20:"
    assert len(lines) == 20
    assert lines[1] == "line 1, messages[1].weight: expected 0 or 1, got 3"
    assert lines[-1].startswith("line 10, messages[1].weight")


def test_a_chat_file_is_kept_byte_for_byte(files: Files, sha256: str) -> None:
    system = {"role": "system", "content": "be brief"}
    lines = [
        chat(
            system,
            user("\u00e9\u2028?", f"comd-image:{sha256}"),
            assistant("red\x0b", weight=0),
            user(),
            assistant(),
        )
    ]
    content = b"\r\n".join(json.dumps(line, ensure_ascii=False).encode() for line in [*lines, chat()])
    about = add(files, b"\xef\xbb\xbf" + content + b"\r\n\r\n" + json.dumps(chat(id="x")).encode())
    kept = files.path(about["id"]).read_bytes()
    assert kept == content + b"\r\n\r\n" + json.dumps(chat(id="x")).encode()
    assert about == {
        "id": about["id"],
        "object": "file",
        "bytes": len(kept),
        "created_at": 7,
        "filename": "a.jsonl",
        "purpose": "fine-tune",
        "status": "processed",
        "num_records": 3,
        "num_text_only": 2,
    }
    record = parse_line(kept.splitlines()[0] if b"\x0b" not in kept else kept.split(b"\r\n")[0], 1)
    assert record.turns == (Turn("\u00e9\u2028?", "red\x0b", learned=False), Turn("what?", "red"))
    assert add(files, content + b"\r\n\r\n" + json.dumps(chat(id="x")).encode())["id"] == about["id"]
    assert len(list(files.folder.iterdir())) == 2


def as_array(values: list[Any]) -> bytes:
    return b" \n" + json.dumps(values, indent=2).encode() + b"\n"


def as_lines(values: list[Any]) -> bytes:
    return b"\n".join(json.dumps(value).encode() for value in values)


@pytest.mark.parametrize("write", [as_array, as_lines])
def test_llava_becomes_chat_lines(files: Files, sha256: str, write: Callable[[list[Any]], bytes]) -> None:
    asked = [("system", "be brief"), ("human", "a\n<image>"), ("gpt", "1"), ("human", "b "), ("gpt", '["}\\')]
    records = [
        llava(*asked, image=sha256, type="conv", model=""),
        llava(image=f"comd-image:{sha256}"),
        llava(image=data_url(png())),
        {**llava(image=None), "id": 12},
    ]
    about = add(files, write(records))
    assert (about["num_records"], about["num_text_only"]) == (4, 1)
    kept = files.path(about["id"]).read_bytes()
    assert about["bytes"] == len(kept)
    first, second, third, fourth = (parse_line(line, at) for at, line in enumerate(kept.splitlines(), 1))
    assert (first.id, first.image, first.system) == ("1", f"comd-image:{sha256}", "be brief")
    assert first.turns == (Turn("a", "1"), Turn("b ", '["}\\'))
    assert (second.image, third.image) == (first.image, data_url(png()))
    assert (fourth.id, fourth.image) == ("12", None)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(), st.recursive(st.text() | st.integers(), st.lists), max_size=3)),
    st.integers(0, 3),
    st.booleans(),
)
def test_an_array_is_cut_where_its_items_end(values: list[Any], indent: int, ascii_only: bool) -> None:
    content = json.dumps(values, indent=indent or None, ensure_ascii=ascii_only).encode(
        "utf-8", "surrogatepass"
    )
    found = cut(io.BytesIO(content))
    assert found.what == "item"
    assert [json.loads(raw.data) for raw in found.records] == values


def test_an_array_is_cut_alike_wherever_the_chunks_end() -> None:
    values = [{"a": 'x\\"]},{["', "b": [[1, {"c": "\\"}], "e"]}, {}, {"d": "\u00e9\\\\"}]
    content = json.dumps(values).encode()

    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 1) if size != 3 else 3)

    assert [json.loads(raw.data) for raw in cut(Slow(content)).records] == values


def test_a_deleted_file_is_gone_and_can_come_again(files: Files) -> None:
    about = add_lines(files, chat())
    files.delete(about["id"])
    assert list(files.folder.iterdir()) == []
    assert files.all() == []
    with pytest.raises(NotFound, match="upload it"):
        files.delete(about["id"])
    assert add_lines(files, chat())["id"] == about["id"]
