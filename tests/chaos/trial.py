"""A run that is disturbed, beside one of the same configuration that was not.

In: a site, a configuration and acts. Out: a Verdict: what differs, and the calls repeated beside those in flight.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.chaos import pictures
from tests.chaos.content import unequal
from tests.chaos.scene import Act, Played, Scene
from tests.chaos.site import Site

CONFIG = {"trainings": 2, "evaluation": {"dataset": "heldout"}, "max_failed_share": None}
GARBAGE = {"kind": "garbage", "rate": 0.05}  # always the same requests: part of the undisturbed run, too
ENGINE_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "hang", "rate": 0.05, "once": True},
    {"kind": "500", "rate": 0.10, "once": True},
    {"kind": "trickle", "rate": 0.02, "seconds": 60.0, "once": True},
)


@dataclass(frozen=True)
class Configuration:
    """What a run works on, and the faults that belong to it. `num_broken` pictures cannot be read."""

    name: str
    data: Path
    faults: tuple[dict[str, Any], ...] = ()
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Disturbance:
    """Acts, faults of the engine, and the processes that meet them."""

    name: str
    acts: Sequence[Act] = ()
    faults: tuple[dict[str, Any], ...] = ()
    slow_s: float = 0.0  # of every reply, so that there is a middle to disturb
    num_workers: int = 2
    num_coordinators: int = 1
    clocks_off_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What came of a disturbed run."""

    name: str
    played: Played
    differences: list[str]
    repeated: int
    in_flight: int
    strikes: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """AssertionError that names what is not as it was in the undisturbed run."""
        assert self.played.status == "finished", f"{self.name}: the run is {self.played.status}"
        assert not self.differences, f"{self.name}: {'; '.join(self.differences)}"
        assert self.repeated <= self.in_flight, (
            f"{self.name}: {self.repeated} calls were repeated, but only {self.in_flight} were in flight"
        )


def plain(site: Site) -> Configuration:
    """The lab's own data, and an engine without faults."""
    return Configuration("calm", site.lab.folder / "data")


def with_broken_pictures(site: Site, num_pictures: int, num_broken: int) -> Configuration:
    """Broken pictures and an engine that gives garbage for a twentieth of the requests."""
    data = site.lab.folder / "data-broken"
    damaged = pictures.write_world(data, num_pictures, num_broken)
    return Configuration("broken", data, (GARBAGE,), tuple(damaged))


def play(
    site: Site,
    configuration: Configuration,
    disturbance: Disturbance,
    reference: Played | None = None,
    seed: int = 0,
) -> Played:
    """One run from nothing."""
    rng = Random(f"{disturbance.name}|{seed}")
    name = f"{configuration.name}-{disturbance.name}-{seed}".replace(" ", "-")
    scene = Scene(site, name, rng, expected=reference.num_distinct if reference else 0)
    try:
        scene.start(disturbance.num_workers, disturbance.num_coordinators, disturbance.clocks_off_s)
        scene.deployment.import_world(configuration.data)
        pictures.damage(site.lab.folder / "home" / "images", list(configuration.damaged))
        slow = [{"kind": "slow", "seconds": disturbance.slow_s}] if disturbance.slow_s else []
        site.lab.set_faults([*configuration.faults, *disturbance.faults, *slow])
        scene.deployment.start_run(**CONFIG)
        return scene.play(disturbance.acts)
    finally:
        scene.stop()
        site.lab.set_faults([])


def undisturbed(site: Site, configuration: Configuration) -> Played:
    return play(site, configuration, Disturbance("undisturbed"))


def disturbed(
    site: Site, configuration: Configuration, disturbance: Disturbance, reference: Played, seed: int = 0
) -> Verdict:
    """The run, judged by the undisturbed one."""
    played = play(site, configuration, disturbance, reference, seed)
    return Verdict(
        disturbance.name,
        played,
        unequal(played.content, reference.content),
        played.calls["repeated"] - reference.calls["repeated"],
        played.in_flight(reference),
        Counter(strike.kind for strike in played.strikes),
    )
