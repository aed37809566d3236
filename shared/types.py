"""The types that cross a boundary between two processes; the field names are those of REST, logs and docs."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

LoopRole = Literal["teacher", "assessor", "augmentor", "student"]
Role = Literal[LoopRole, "tested"]  # "tested": whom an evaluation measures
EngineKind = Literal["openai", "vllm", "scripted"]
Order = Literal["teacher_first", "student_first"]
Score = float  # from 1 to 10

IMAGE_SCHEME = "comd-image:"


def server_root(url: str) -> str:
    """The URL, which is stored, shown and part of an answer's name: nothing secret may stand in it."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("a URL may hold no user or password; name the variable of the key in key_name")
    if parts.query or parts.fragment or parts.path.rstrip("/").endswith("/v1"):
        raise ValueError(
            "expected the root of the server, such as http://127.0.0.1:8000, without /v1, ? or #"
        )
    return url


ServerRoot = Annotated[str, AfterValidator(server_root)]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[int, BeforeValidator(_whole)]  # JSON does not tell 3 from 3.0
Number64 = Annotated[WholeNumber, Field(ge=-(2**63), le=2**63 - 1)]
PictureName = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="sha256 of the picture")]


class Wire(BaseModel):
    """Base of every boundary type: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineSpec(Wire):
    """Where a role's model answers: any OpenAI-compatible server."""

    base_url: ServerRoot = Field(
        description="root of the server, without /v1", examples=["http://127.0.0.1:8101"]
    )
    model: str
    revision: str | None = Field(None, description="what the operator calls this version of the model")
    key_name: str | None = Field(None, pattern=r"^COMD_ENGINE_KEY_[A-Z0-9_]+$")
    kind: EngineKind = "openai"
    json_schema: bool | None = Field(
        None, description="whether it takes response_format with a JSON schema; default: vllm and scripted do"
    )


class Sampling(Wire):
    """What makes one request's answer; part of the answer's identity."""

    temperature: float = Field(0.5, ge=0, le=2)  # the paper's, for every role
    max_tokens: int = Field(512, ge=1)


class RoleIdentity(Wire):
    """What a role service would answer with just now; `GET /v1/identity`."""

    role: Role
    prompt_version: str
    model: str
    revision: str
    sampling: Sampling


class EngineState(Wire):
    """`GET /v1/engine`: the engine behind a role, and how it is just now."""

    base_url: str
    model: str
    revision: str | None
    kind: EngineKind
    problem: str | None = None  # in words; None: it answers and lists the model
    latency_ms: float | None = None  # of its list of models; None where it gave none
    in_flight: int = 0  # calls of this service that are with it
    line: int = 0  # calls that wait in this service's line for it
    waiting: int | None = None  # requests that wait in the engine itself, where it says so


class Usage(Wire):
    """Tokens as the engine counted them and its seconds, summed over the calls of one request."""

    prompt_tokens: int = 0
    cached_tokens: int = 0  # of the prompt tokens, those that the engine's prefix cache held
    completion_tokens: int = 0
    calls: int = 0
    seconds: float = 0.0  # that calls were with the engine, summed over calls that ran side by side

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            calls=self.calls + other.calls,
            seconds=self.seconds + other.seconds,
        )


class Asked(Wire):
    """Base of requests: a value is of the type that the document says."""

    model_config = ConfigDict(strict=True)


class AssessmentRequest(Asked):
    """`context`: what is known of the picture in words, for a judge that is not shown it."""

    image: PictureName | None
    context: str | None = Field(None, description="in the place of the picture: image is null")
    instruction: str
    teacher_answer: str
    student_answer: str
    seed: Number64

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "AssessmentRequest":
        if self.context is not None and self.image is not None:
            raise ValueError("expected image or context, got both; the judge sees one of them")
        return self


class JudgeRun(Wire):
    """One order of the two answers. Scores are None where no attempt gave a readable reply."""

    order: Order
    teacher_score: float | None
    student_score: float | None
    evidence: str | None
    raw: str | None
    attempts: int


class Assessment(Wire):
    """`POST /v1/assessments`: scored, or unjudged with the reason."""

    unjudged: bool = False
    reason: str | None = None
    teacher_score: float | None = None
    student_score: float | None = None
    difficulty: float | None = None
    runs: list[JudgeRun]
    model: str
    revision: str
    prompt_version: str
    usage: Usage


class Parent(Asked):
    """A selected instruction, as the augmentor sees it."""

    id: Number64
    text: str
    task_type: str


class AugmentationRequest(Asked):
    """`POST /v1/augmentations`: all parents of one image, and every text that image has in the cache pool."""

    image: PictureName | None
    parents: list[Parent]
    existing: list[str]
    seed: Number64


class Candidate(Wire):
    """One attempt of one parent; `reason` is None exactly when it was accepted."""

    parent_id: int
    attempt: int
    text: str
    reason: str | None = None
    rouge_l: float | None = None
    nearest: str | None = None


class Augmentation(Wire):
    accepted: list[Candidate]
    rejected: list[Candidate]
    model: str
    revision: str
    prompt_version: str
    usage: Usage


JsonObject = dict[str, Any]
