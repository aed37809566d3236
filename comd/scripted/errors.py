"""The one error of the scripted engine, in the shape that OpenAI's API gives it."""


class ApiError(Exception):
    """A refusal: its HTTP status, and the message, type and code that the client reads."""

    def __init__(self, status: int, message: str, code: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.kind = status, message, code, kind

    def body(self) -> dict[str, object]:
        """The JSON body."""
        return {"error": {"message": self.message, "type": self.kind, "param": None, "code": self.code}}
