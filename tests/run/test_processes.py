"""What processes that test together tell each other."""
from __future__ import annotations

import pytest

from soke.errors import UserError
from soke.run.processes import World
from soke.settings import SettingsError
from soke.tokenizer.settings import Ema
from tests.worlds import together


class Strict(UserError):
    pass


def refused() -> None:
    raise Strict("no such file")


def test_all_have_what_each_one_makes_and_what_the_first_makes():
    heard: dict[int, tuple] = {}

    def work(world: World) -> None:
        first = world.of_first(lambda: f"plan of {world.rank}")
        heard[world.rank] = world.of_each(lambda: 10 * world.rank), first

    assert together(work, 3) == [] and heard == dict.fromkeys(range(3), ([0, 10, 20], "plan of 0"))
    assert World().of_each(lambda: 7) == [7] and World().of_first(lambda: 7) == 7


@pytest.mark.parametrize("failing", [0, 2])
def test_what_one_cannot_do_ends_all_with_its_sentence(failing):
    ended = together(lambda world: world.of_each(refused if world.rank == failing else lambda: 1), 3)
    assert [str(error) for error in ended] == ["no such file"] * 3
    with pytest.raises(Strict):  # alone, it is the error itself
        World().of_first(refused)


def test_settings_that_make_no_sense_travel_too():
    ended = together(lambda world: world.of_first(lambda: Ema(codes=0, decay=2.0)), 2)
    assert len(ended) == 2 and not isinstance(ended[0], SettingsError) and "Ema: `codes`" in str(ended[1])
