"""The teacher service: OpenAI chat in, OpenAI chat out, with the teacher's system prompt and temperature."""

from fastapi import FastAPI, Request, Response
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.teacher import prompts
from shared.keys import Keys
from shared.role import RoleService, RoleSettings
from shared.role_app import create_role_app, pass_through


class TeacherSettings(RoleSettings):
    model_config = SettingsConfigDict(env_prefix="COMD_TEACHER_")

    port: int = Field(8102, ge=1, le=65535)


def create_teacher_app(settings: TeacherSettings, keys: Keys) -> FastAPI:
    """The app; a caller's own system message or temperature wins over the teacher's."""
    service = RoleService("teacher", prompts.VERSION, settings)

    async def chat_completions(request: Request) -> Response:
        return await pass_through(service, request, system=prompts.SYSTEM)

    return create_role_app(service, keys, chat_completions)
