"""An augmentation's tasks: every attempt kept, and answers for what was accepted."""

from services.coordinator.clients import Answer
from services.coordinator.outgoing import ItemFailed
from services.coordinator.tasks.augment import augment
from shared.identity import augmented_instruction_id
from shared.types import Augmentation, Candidate, Usage
from tests.doubles.task_tools import QUESTIONS, Kept, Services, said, tools, work


def candidate(parent: int, attempt: int, text: str, reason: str | None = None) -> Candidate:
    return Candidate(parent_id=parent, attempt=attempt, text=text, reason=reason, rouge_l=0.1, nearest="old?")


async def test_augmentation_keeps_every_attempt_and_the_accepted_as_instructions() -> None:
    services, kept = Services(lambda text, _: said(f"about {text}")), Kept()
    services.written = Augmentation(
        accepted=[candidate(1, 2, "new?")],
        rejected=[candidate(1, 1, "old?", "not novel"), candidate(2, 1, "?", "too short")],
        model="m",
        revision="r",
        prompt_version="1",
        usage=Usage(),
    )
    parents = [{**one, "task_type": "colour"} for one in (*QUESTIONS, {"id": 3, "text": "c?"})]
    await augment(work("augmenting", *parents), tools(services, kept))
    assert services.asked[0]["existing"] == ["old?"]
    assert [(row["parent"], row["attempt"], row["accepted"]) for row in kept.rows["candidates"]] == [
        (1, 2, True),
        (1, 1, False),
        (2, 1, False),
    ]
    (born,) = kept.rows["instructions"]
    assert (
        born["id"] == augmented_instruction_id(1, 2, "new?") == kept.rows["candidates"][0]["instruction_id"]
    )
    assert (born["born_in"], born["parent"], born["task_type"], born["dialogue"]) == (2, 1, "colour", None)
    assert [row["instruction_id"] for row in kept.rows["failures"]] == [3]  # of which nothing was said
    assert [row["text"] for row in kept.rows["answers"]] == ["about new?"]
    assert [(row["role"], row["instruction_id"]) for row in kept.rows["bindings"]] == [
        ("teacher", born["id"])
    ]


async def test_what_an_augmentation_left_unanswered_is_answered_and_nothing_else_is_asked() -> None:
    """The worker before died between the new instructions and the teacher's answers."""
    one, services, kept = work("augmenting"), Services(lambda text, _: said("yes")), Kept()
    one.born = [{"id": 7, "text": "new?"}]
    await augment(one, tools(services, kept))
    assert [asked["text"] for asked in services.asked] == ["new?"]
    assert [row["instruction_id"] for row in kept.rows["bindings"]] == [7]
    assert one.only_streams


async def test_a_new_instruction_that_the_teacher_refuses_fails_in_the_teaching_of_its_iteration() -> None:
    def refuse(*_: object) -> Answer:
        raise ItemFailed("no")

    one, kept = work("augmenting"), Kept()
    one.born = [{"id": 7, "text": "new?"}]
    await augment(one, tools(Services(refuse), kept))
    (failure,) = kept.rows["failures"]
    assert (failure["iteration"], failure["phase"], failure["instruction_id"]) == (2, "teaching", 7)


async def test_a_refused_augmentation_fails_for_the_image() -> None:
    kept = Kept()
    await augment(work("augmenting", {**QUESTIONS[0], "task_type": "x"}), tools(Services(), kept))
    assert kept.rows["failures"][0]["instruction_id"] == 0
