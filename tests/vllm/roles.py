"""The three role services in front of one vLLM, and requests to them.

In: a server, a folder of pictures. Out: their URLs, and what they say.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from services.assessor.app import AssessorSettings, create_assessor_app
from services.augmentor.app import AugmentorSettings, create_augmentor_app
from services.teacher.app import TeacherSettings, create_teacher_app
from shared.images import ImageStore
from shared.keys import Keys
from shared.types import Assessment, Augmentation, EngineSpec, Sampling
from tests.loopback import serving

KEYS = Keys(api="api-key", internal="internal-key")
INTERNAL = {"authorization": f"Bearer {KEYS.internal}"}


@dataclass(frozen=True)
class Roles:
    """Where the roles answer, and the pictures that they and we know."""

    urls: dict[str, str]
    pictures: ImageStore

    def post(self, role: str, path: str, body: Any) -> httpx.Response:
        url = f"{self.urls[role]}{path}"
        return httpx.post(url, json=body, headers=INTERNAL, timeout=60, trust_env=False)

    def assess(self, **asked: Any) -> Assessment:
        reply = self.post("assessor", "/v1/assessments", {"seed": 3, **asked})
        assert reply.status_code == 200, reply.text
        return Assessment.model_validate(reply.json())

    def augment(self, **asked: Any) -> Augmentation:
        reply = self.post("augmentor", "/v1/augmentations", {"seed": 3, **asked})
        assert reply.status_code == 200, reply.text
        return Augmentation.model_validate(reply.json())


@contextmanager
def roles_before(spec: EngineSpec, image_store: str) -> Iterator[Roles]:
    """The role services while the context lasts."""
    told: dict[str, Any] = {"port": 1, "engine": spec, "image_store": image_store}
    told["sampling"] = Sampling(max_tokens=700)  # a verdict's evidence may be long
    apps = {
        "teacher": create_teacher_app(TeacherSettings(**told), KEYS),
        "assessor": create_assessor_app(AssessorSettings(**told), KEYS),
        "augmentor": create_augmentor_app(AugmentorSettings(**told), KEYS),
    }
    with ExitStack() as stack:
        urls = {role: stack.enter_context(serving(app)) for role, app in apps.items()}
        yield Roles(urls, ImageStore(image_store))


def chat(text: str, url: str, **more: Any) -> dict[str, Any]:
    """The body of a question about a picture, with a seed and room to answer."""
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return {
        "model": "any",
        "messages": [{"role": "user", "content": parts}],
        "seed": 1,
        "max_tokens": 300,
        **more,
    }
