"""Progress as a person reads it, by a clock of the test's own."""

import io

from rich.console import Console

from comd.progress import WorkDisplay


def test_plain_lines_come_now_and_then_with_rate_and_time_left() -> None:
    out, clock = io.StringIO(), [100.0]
    console = Console(file=out, force_terminal=False, width=200)
    with WorkDisplay(console, "reading", "captions", now=lambda: clock[0]) as display:
        for second in range(11):
            clock[0] = 100.0 + second
            display.show(5_000 + second * 1_000, 35_000, "loss 1.5")
    assert out.getvalue().splitlines() == [
        "  reading: 5,000 of 35,000 captions, loss 1.5",
        "  reading: 10,000 of 35,000 captions, 1,000/s, 0:00:25 left, loss 1.5",
        "  reading: 15,000 of 35,000 captions, 1,000/s, 0:00:20 left, loss 1.5",
    ]


def test_what_an_earlier_start_has_done_is_soon_out_of_the_rate() -> None:
    out, clock = io.StringIO(), [0.0]
    with WorkDisplay(Console(file=out, width=200), "reading", "captions", now=lambda: clock[0]) as display:
        display.show(0, 1_000_000)
        for second in range(1, 41):
            clock[0] = float(second)
            display.show(900_000 + second * 100, 1_000_000)
    assert out.getvalue().splitlines()[-1] == "  reading: 904,000 of 1,000,000 captions, 100/s, 0:16:00 left"


def test_work_that_is_told_of_seldom_has_a_rate_too() -> None:
    out, clock = io.StringIO(), [0.0]
    with WorkDisplay(Console(file=out, width=200), "reading", "captions", now=lambda: clock[0]) as display:
        for minute in range(4):
            clock[0] = 60.0 * minute
            display.show(6_000 * minute, 24_000)
    assert out.getvalue().splitlines()[-1] == "  reading: 18,000 of 24,000 captions, 100/s, 0:01:00 left"


def test_without_a_total_there_is_no_time_left() -> None:
    out, clock = io.StringIO(), [0.0]
    with WorkDisplay(Console(file=out, width=200), "training", "steps", now=lambda: clock[0]) as display:
        display.show(0, None)
        clock[0] = 10.0
        display.show(5, None)
    assert out.getvalue().splitlines() == ["  training: 0 steps", "  training: 5 steps, 0.5/s"]


def test_a_terminal_gets_a_bar() -> None:
    out, clock = io.StringIO(), [0.0]
    console = Console(file=out, force_terminal=True, width=120)
    with WorkDisplay(console, "reading", "captions", now=lambda: clock[0]) as display:
        display.show(0, 100)
        clock[0] = 1.0
        display.show(50, 100)
    assert "━" in out.getvalue()
    assert "50 of 100 captions, 50/s, 0:00:01 left" in out.getvalue()
