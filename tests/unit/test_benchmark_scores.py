"""Scores against numbers reckoned by hand, intervals against exact probabilities."""

import math
import random
import time

import pytest

from services.coordinator.benchmarks.bootstrap import ratio
from services.coordinator.benchmarks.items import COLUMNS
from services.coordinator.benchmarks.scores import Cell, Mark, differences, scores

SEEDS = [0, 1, 7]


def marks_of(*answers: tuple[str, float | None]) -> list[Mark]:
    """A mark for each "groups, by comma" and value."""
    return [Mark(number, tuple(groups.split(",")), value) for number, (groups, value) in enumerate(answers)]


def judged(*pairs: tuple[str, float | None, float | None]) -> list[Mark]:
    return [
        Mark(number, (group,), value, reference) for number, (group, value, reference) in enumerate(pairs)
    ]


def right(num_right: int, num: int) -> list[Mark]:
    return [Mark(number, ("NAT",), float(number < num_right)) for number in range(num)]


def values(cells: dict[str, Cell]) -> dict[str, float | None]:
    return {column: cell.value for column, cell in cells.items()}


def width(cell: Cell) -> float:
    assert cell.low is not None
    assert cell.high is not None
    return cell.high - cell.low


def binomial_quantile(num: int, share: float, below: float) -> int:
    """The smallest count whose probability to be reached or undercut is at least `below`."""
    total = 0.0
    for count in range(num + 1):
        total += math.comb(num, count) * share**count * (1 - share) ** (num - count)
        if total >= below:
            return count
    return num


def test_scienceqas_table_by_hand() -> None:
    marks = marks_of(
        ("NAT,IMG,G1-6", 1.0),
        ("NAT,TXT,IMG,G1-6", 0.0),
        ("LAN,TXT,G7-12", 1.0),
        ("SOC,NO,G7-12", 1.0),
        ("NAT,NO,G1-6", 1.0),
        ("NAT,TXT,G7-12", None),
    )
    found = scores("scienceqa", marks, 0)
    assert list(found) == ["NAT", "SOC", "LAN", "TXT", "IMG", "NO", "G1-6", "G7-12", "AVG"]
    assert values(found) == {
        "NAT": pytest.approx(200 / 3),
        "SOC": 100.0,
        "LAN": 100.0,
        "TXT": 50.0,
        "IMG": 50.0,
        "NO": 100.0,
        "G1-6": pytest.approx(200 / 3),
        "G7-12": 100.0,
        "AVG": 80.0,
    }
    assert {column: cell.num for column, cell in found.items()} == {
        "NAT": 3, "SOC": 1, "LAN": 1, "TXT": 2, "IMG": 2, "NO": 2, "G1-6": 3, "G7-12": 2, "AVG": 5,
    }  # fmt: skip


def test_seed_benchs_average_is_over_questions_not_over_types() -> None:
    marks = marks_of(*[("Instances Counting", 0.0)] * 6, *[("Text Understanding", 1.0)] * 2)
    found = scores("seed-bench", marks, 0)
    assert found["AVG"].value == 25.0  # the mean of the types would be 50
    assert list(found) == list(COLUMNS["seed-bench"])


def test_a_column_without_items_has_no_number() -> None:
    found = scores("scienceqa", right(1, 2), 0)
    assert found["SOC"] == Cell(None, None, None, 0)
    assert set(scores("seed-bench", [], 0).values()) == {Cell(None, None, None, 0)}


def test_the_llava_test_sets_result_is_a_ratio_of_means() -> None:
    marks = judged(("conversation", 2.0, 4.0), ("conversation", 9.0, 9.0), ("detail", 6.0, 8.0))
    found = scores("llava-bench", marks, 0)
    assert found["conversation"].value == pytest.approx(100 * 11 / 13)  # the mean of ratios would be 75
    assert found["all"].value == pytest.approx(100 * 17 / 21)
    assert (found["reasoning"].value, found["all"].num) == (None, 3)


def test_unreadable_reviews_are_left_out_of_both_means() -> None:
    marks = judged(("detail", 5.0, 10.0), ("detail", None, 2.0), ("detail", 9.0, None))
    assert scores("llava-bench", marks, 0)["detail"] == Cell(50.0, 50.0, 50.0, 1)


@pytest.mark.parametrize(("num_right", "num"), [(15, 20), (430, 1000), (4, 4000)])
def test_intervals_are_the_quantiles_of_the_exact_distribution(num_right: int, num: int) -> None:
    """Drawing items with replacement makes the number of right ones binomial; 2,000 draws come near to it."""
    cell = scores("scienceqa", right(num_right, num), 0)["AVG"]
    share = num_right / num
    tolerance = 100 * (1 + 0.15 * math.sqrt(num * share * (1 - share))) / num
    assert cell.low == pytest.approx(100 * binomial_quantile(num, share, 0.025) / num, abs=tolerance)
    assert cell.high == pytest.approx(100 * binomial_quantile(num, share, 0.975) / num, abs=tolerance)
    assert cell.low is not None
    assert cell.high is not None
    assert cell.low < 100 * share < cell.high


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(5)
    held = 0
    for seed in range(200):
        pairs = [(float(chance.random() < 0.7), 1.0) for _ in range(300)]
        interval = ratio(pairs, [seed])
        assert interval is not None
        held += interval.low <= 70.0 <= interval.high
    assert 0.91 <= held / 200 <= 0.99


def test_the_interval_of_a_ratio_holds_the_truth_as_often_as_it_says() -> None:
    chance = random.Random(6)
    held = 0
    for seed in range(60):
        references = [chance.randint(6, 10) for _ in range(90)]
        pairs = [(reference * 0.8 + chance.choice([-1, 0, 1]), float(reference)) for reference in references]
        interval = ratio(pairs, [seed])
        assert interval is not None
        held += interval.low <= 80.0 <= interval.high
    assert 0.88 <= held / 60 <= 1.0


def test_the_order_of_marks_changes_nothing() -> None:
    chance = random.Random(1)
    marks = [
        Mark(number, (chance.choice(["detail", "reasoning"]),), chance.randint(1, 10), chance.randint(1, 10))
        for number in range(60)
    ]
    mixed = chance.sample(marks, len(marks))
    assert scores("llava-bench", mixed, 3) == scores("llava-bench", marks, 3)
    assert differences("llava-bench", mixed, marks, 3) == differences("llava-bench", marks, mixed, 3)


def test_the_seed_decides_the_draws_and_not_the_value() -> None:
    cells = [scores("scienceqa", right(70, 100), seed)["AVG"] for seed in SEEDS]
    assert {cell.value for cell in cells} == {70.0}
    assert len({(cell.low, cell.high) for cell in cells}) > 1
    assert cells[0] == scores("scienceqa", right(70, 100), 0)["AVG"]
    assert scores("scienceqa", right(70, 100), -1)["AVG"].value == 70.0


def test_differences_are_over_items_that_both_have() -> None:
    ours = [Mark(1, ("NAT",), 1.0), Mark(2, ("NAT",), 1.0), Mark(3, ("SOC",), 0.0), Mark(4, ("SOC",), None)]
    theirs = [Mark(2, ("NAT",), 0.0), Mark(3, ("SOC",), 0.0), Mark(4, ("SOC",), 1.0), Mark(9, ("NAT",), 1.0)]
    found = differences("scienceqa", ours, theirs, 0)
    assert (found["NAT"].value, found["NAT"].num) == (100.0, 1)
    assert (found["SOC"].value, found["SOC"].num) == (0.0, 1)
    assert (found["AVG"].value, found["AVG"].num) == (50.0, 2)
    assert found["LAN"] == Cell(None, None, None, 0)


def test_the_difference_of_two_ratios_by_hand() -> None:
    ours = judged(("detail", 8.0, 10.0), ("detail", 6.0, 8.0))
    theirs = judged(("detail", 5.0, 10.0), ("detail", 9.0, 10.0))
    assert differences("llava-bench", ours, theirs, 0)["all"].value == pytest.approx(
        100 * (14 / 18 - 14 / 20)
    )


def test_pairing_makes_the_interval_of_like_models_narrower() -> None:
    chance = random.Random(2)
    ours = [Mark(number, ("NAT",), float(chance.random() < 0.6)) for number in range(500)]
    theirs = [Mark(one.item_id, one.groups, one.value if one.item_id % 10 else 1.0) for one in ours]
    paired = width(differences("scienceqa", ours, theirs, 0)["AVG"])
    unpaired = math.hypot(*(width(scores("scienceqa", marks, 0)["AVG"]) for marks in (ours, theirs)))
    assert paired < 0.5 * unpaired


def test_a_model_differs_from_itself_in_nothing() -> None:
    found = differences("scienceqa", right(6, 10), right(6, 10), 0)["AVG"]
    assert found == Cell(0.0, 0.0, 0.0, 10)


def test_a_large_benchmark_takes_no_time() -> None:
    """14,000 questions in ten columns; a draw item by item would take 280 million numbers."""
    marks = [Mark(n, (COLUMNS["seed-bench"][n % 9],), float(n % 3 == 0)) for n in range(14_000)]
    began = time.process_time()
    scores("seed-bench", marks, 0)
    differences("seed-bench", marks, marks, 0)
    assert time.process_time() - began < 4.0
