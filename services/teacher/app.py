"""The teacher service: OpenAI chat in, OpenAI chat out, with the teacher's system prompt and temperature."""

from fastapi import FastAPI, Request, Response
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.teacher import prompts
from shared.errors import BadRequest, told
from shared.headers import PROMPT_HEADER
from shared.keys import Keys
from shared.role import RoleService, RoleSettings
from shared.role_app import create_role_app, pass_through


class TeacherSettings(RoleSettings):
    model_config = SettingsConfigDict(env_prefix="COMD_TEACHER_")

    port: int = Field(8102, ge=1, le=65535)


def create_teacher_app(settings: TeacherSettings, keys: Keys) -> FastAPI:
    """The app; a caller's own system message or temperature wins over the teacher's, or leaves both out."""
    service = RoleService("teacher", prompts.VERSION, settings)

    async def chat_completions(request: Request) -> Response:
        return await pass_through(service, request, prompts.SYSTEM, is_plain=_is_plain(request))

    return create_role_app(service, keys, chat_completions)


def _is_plain(request: Request) -> bool:
    """Whether the caller wants the engine as it is: an evaluation measures a model, not the teacher's prompt."""
    wanted = request.headers.get(PROMPT_HEADER)
    if wanted not in (None, "none"):
        raise BadRequest(f"{PROMPT_HEADER}: expected none, got {told(wanted)}; leave the header out")
    return wanted == "none"
