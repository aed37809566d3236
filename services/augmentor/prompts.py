"""The augmentor's prompt: system, image, fixed text, then the parent question it should resemble."""

VERSION = "augmentor-1"

SYSTEM = "You write questions about images, to be used for teaching another model."

RULES = """\
Below is a question about this image. Write one new question about the same image.
- Ask about other content of the image than the question below does.
- Keep the kind of task, and about the same difficulty and length.
- The new question must be answerable from the image alone.
Reply with the new question only: no answer, no list, no quotation marks."""


def variable_text(parent: str, task_type: str) -> str:
    """The part of the prompt that differs between two parents of the same image."""
    return f"Kind of task: {task_type}\nQuestion: {parent}"
