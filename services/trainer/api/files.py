"""OpenAI's files: `/v1/files`. Training files alone, kept until they are deleted."""

from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from services.trainer.api.pages import Limit, page
from services.trainer.trainer import Trainer
from shared.errors import BadRequest, Conflict
from shared.types import JsonObject

PURPOSE = "fine-tune"


def file_routes(trainer: Trainer) -> APIRouter:
    routes = APIRouter(prefix="/v1/files")

    @routes.post("")
    async def upload(
        file: Annotated[UploadFile, File()],
        purpose: Annotated[str, Form()],
        expires: Annotated[str | None, Form(alias="expires_after[seconds]")] = None,
    ) -> JsonObject:
        if purpose != PURPOSE:
            raise BadRequest(f"purpose: expected {PURPOSE}, got {purpose[:40]!r}", param="purpose")
        if expires is not None:
            raise BadRequest("expires_after: files are kept until they are deleted", param="expires_after")
        return await run_in_threadpool(trainer.files.add, file.file, file.filename or "training.jsonl")

    @routes.get("")
    async def files(
        after: str | None = None,
        limit: Limit = 10_000,
        order: Literal["asc", "desc"] = "desc",
        purpose: str = PURPOSE,
    ) -> JsonObject:
        found = trainer.files.all() if purpose == PURPOSE else []
        return page(found if order == "desc" else found[::-1], after, limit)

    @routes.get("/{file_id}")
    async def file_of(file_id: str) -> JsonObject:
        return trainer.files.get(file_id)

    @routes.get("/{file_id}/content")
    async def content(file_id: str) -> FileResponse:
        about = trainer.files.get(file_id)
        path = trainer.files.path(file_id)
        return FileResponse(path, media_type="application/jsonl", filename=about["filename"])

    @routes.delete("/{file_id}")
    async def delete(file_id: str) -> JsonObject:
        trainer.files.get(file_id)
        for job in trainer.jobs.all():
            if not job.over and job.asked.training_file == file_id:
                raise Conflict(
                    f"file {file_id} is needed by job {job.id}, which is {job.status}; cancel the job first",
                    code="file_in_use",
                    param="file_id",
                )
        trainer.files.delete(file_id)
        return {"id": file_id, "object": "file", "deleted": True}

    return routes
