"""The wordings of the world's questions: eight for each kind, with one gap for what is asked about.

Any two wordings, however filled in, stay below 0.7 ROUGE-L of one another (a test proves it for all of them), so
that the novelty filter leaves a picture at least eight questions of a kind.
"""

from comd.world.scene import COLOURS, PLACES, SHAPES

KINDS = ("colour", "shape", "position", "count", "description")
REGIONS = ("top row", "bottom row", "left side", "right side", "whole picture")

PHRASINGS: dict[str, tuple[str, ...]] = {
    "colour": (
        "What colour is the {x} one?",
        "Name a colour seen {x}.",
        "At {x}, which colour appears?",
        "{x}: tell me its colour.",
        "Colour of whatever sits {x}, please?",
        "Give {x} some colour word.",
        "Your {x} object has which colour?",
        "Can you say how {x} got coloured?",
    ),
    "shape": (
        "Which shape has that {x} one?",
        "{x} thing: its shape, please.",
        "Identify the shape drawn {x}.",
        "What is it, by shape, {x}?",
        "Shape of our {x} figure?",
        "Does {x} have any known shape?",
        "I ask for {x} and the shape there.",
        "Say {x} in terms of shape.",
    ),
    "position": (
        "Where is the {x}?",
        "In what corner can I find this {x}?",
        "Locate {x} for me, please.",
        "{x}: give its position.",
        "Point to the place of that {x}.",
        "Somebody put {x} in which corner?",
        "Position at which you see {x}?",
        "Has {x} got any place here?",
    ),
    "count": (
        "How many things are in the {x}?",
        "Count everything along {x}.",
        "Say the number for our {x}.",
        "{x}: how many do you see?",
        "What total would counting {x} give?",
        "Number of shapes on that {x}, please?",
        "Does {x} hold none, or how many?",
        "I need a count of all the {x} contains.",
    ),
    "description": (
        "Describe the {x} to me.",
        "What does this {x} show?",
        "List all you notice across {x}.",
        "{x}: please write down what appears.",
        "Give a short description of our {x}.",
        "Go over the {x} and list the contents.",
        "Can someone describe how {x} looks?",
        "I cannot see that {x}, so describe it.",
    ),
}

FILLINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "colour": tuple((place, place) for place in PLACES),
    "shape": tuple((word, word) for word in PLACES + COLOURS),
    "position": tuple((c, f"{c} one") for c in COLOURS) + tuple((s, s) for s in SHAPES),
    "count": tuple((region, region) for region in REGIONS),
    # A list of four things is more than a tiny student gets wholly right.
    "description": tuple((region, region) for region in REGIONS if region != "whole picture"),
}
"""For each kind the things that can be asked about, and the words that fill the gap for each."""


def fill(phrasing: str, words: str) -> str:
    """The question: the gap filled in and the first letter raised."""
    question = phrasing.format(x=words)
    return question[0].upper() + question[1:]
