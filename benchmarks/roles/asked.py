"""What is asked in the benchmarks of the role services: the same questions in the words of each interface.

Out: for text and for pictures 32 request bodies each, for an engine, the teacher service and the assessor service.
"""

import base64
import io
from random import Random
from typing import Any

from PIL import Image

from services.teacher.prompts import SYSTEM
from shared.images import ImageStore
from shared.messages import system_message, user_message

MODEL = "mock"
BODIES = 32
SIDE, QUALITY = 358, 86  # of noise: about 100 KB as JPEG
QUESTION = "What does the person at the left of the picture hold in the hand, and what may it be used for?"
ANSWER = "A red umbrella, which is closed; it may be used against the rain that the clouds announce."

Bodies = dict[str, list[dict[str, Any]]]


def picture(number: int) -> bytes:
    """A JPEG of noise, the same for the same number."""
    pixels = Random(number).randbytes(SIDE * SIDE * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", (SIDE, SIDE), pixels).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def bodies(store: ImageStore) -> dict[str, Bodies]:
    """By interface, then by `text` and `image`. The pictures are put into `store`."""
    asked: dict[str, Bodies] = {name: {"text": [], "image": []} for name in ("engine", "teacher", "assessor")}
    for number in range(BODIES):
        data = picture(number)
        for mode, sha256 in (("text", None), ("image", store.put(data))):
            add(asked, mode, number, sha256, data)
    return asked


def add(asked: dict[str, Bodies], mode: str, number: int, sha256: str | None, data: bytes) -> None:
    """One question to each interface. What reaches the engine by the teacher service is what reaches it directly."""
    instruction = f"({number}) {QUESTION}"
    sampling = {"model": MODEL, "temperature": 0.5, "max_tokens": 512, "seed": number}
    question = user_message(sha256, instruction)
    asked["teacher"][mode].append({**sampling, "messages": [question]})
    if sha256:
        encoded = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
        shown = {"type": "image_url", "image_url": {"url": encoded}}
        question = {**question, "content": [shown, *question["content"][1:]]}
    asked["engine"][mode].append({**sampling, "messages": [system_message(SYSTEM), question]})
    judged = {"teacher_answer": ANSWER, "student_answer": ANSWER.replace("umbrella", "stick")}
    asked["assessor"][mode].append({"image": sha256, "instruction": instruction, **judged, "seed": number})
