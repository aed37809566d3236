"""The assessor service: judges a teacher's and a student's answer to the same instruction, in both orders."""

import hashlib

from fastapi import FastAPI, Request
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.assessor import prompts
from services.assessor.judge import assess
from shared.keys import Keys
from shared.role import RoleService, RoleSettings
from shared.role_app import create_role_app
from shared.types import Assessment, AssessmentRequest


class AssessorSettings(RoleSettings):
    model_config = SettingsConfigDict(env_prefix="COMD_ASSESSOR_")

    port: int = Field(8103, ge=1, le=65535)
    fence_secret: SecretStr | None = Field(
        None, min_length=16, description="key of the fence's marks; default: derived from the internal key"
    )


def create_assessor_app(settings: AssessorSettings, keys: Keys) -> FastAPI:
    service = RoleService("assessor", prompts.VERSION, settings, has_reply_forms=True)
    app = create_role_app(service, keys)
    given = settings.fence_secret.get_secret_value() if settings.fence_secret else f"fence {keys.internal}"
    secret = hashlib.sha256(given.encode()).digest()

    @app.post("/v1/assessments")
    async def assessments(request: Request, asked: AssessmentRequest) -> Assessment:
        with service.admitted(request) as spec:
            return await assess(service, spec, asked, secret)

    return app
