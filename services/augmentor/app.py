"""The augmentor service: writes new instructions for the selected ones of an image, and keeps them novel."""

from fastapi import FastAPI, Request
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.augmentor import prompts
from services.augmentor.generate import augment
from shared.keys import Keys
from shared.role import RoleService, RoleSettings
from shared.role_app import create_role_app
from shared.types import Augmentation, AugmentationRequest


class AugmentorSettings(RoleSettings):
    model_config = SettingsConfigDict(env_prefix="COMD_AUGMENTOR_")

    port: int = Field(8104, ge=1, le=65535)


def create_augmentor_app(settings: AugmentorSettings, keys: Keys) -> FastAPI:
    service = RoleService("augmentor", prompts.VERSION, settings, has_reply_forms=True)
    app = create_role_app(service, keys)

    @app.post("/v1/augmentations")
    async def augmentations(request: Request, asked: AugmentationRequest) -> Augmentation:
        with service.admitted(request) as spec:
            return await augment(service, spec, asked)

    return app
