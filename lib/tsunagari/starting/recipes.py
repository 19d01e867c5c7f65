"""What is wrong in a recipe? Every step is drawn; for one that cannot be, something stands in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from tsunagari import synthetic
from tsunagari.errors import ConfigError
from tsunagari.study.survey import Study

_PER_CELL = 25  # people drawn; enough that every group of a step has some


def recipe_mistakes(of: Study) -> Iterator[ConfigError]:
    """Yield every mistake of a study's recipe, in its order; the message names the key.

    Args:
        of: The study; its population is not looked at: the recipe is drawn on as many people in
            every cell.
    """
    try:
        recipe = synthetic.read_recipe(of)
    except ConfigError as error:
        yield error
        return
    cells = _cells(of)
    wave, rng, n = recipe.waves[of.year], np.random.default_rng(0), int(cells["population"].sum())
    people: synthetic.People | None = None
    while people is None:
        try:
            people = synthetic.People(of, cells, wave=wave, n=n, rng=rng)
        except ConfigError as error:
            yield error
            known = {k: v for k, v in wave.shares.items() if k != error.values["name"]}
            wave = wave.model_copy(update={"shares": known})
    for number, step in enumerate(recipe.steps, start=1):
        yield from _run(people, step, place=f"steps.{number}")
    try:
        synthetic.check_drawn(people)
    except ConfigError as error:
        yield error
    ids = [str(number) for number in range(2 * n)]
    delivery = synthetic.Delivery(people, people, ids=ids, scale=n / recipe.n)
    for number, fault in enumerate(recipe.faults, start=1):
        try:
            synthetic.run_step(delivery, fault, place=f"faults.{number}")
        except ConfigError as error:
            yield error


def _run(people: synthetic.People, step: dict[str, Any], *, place: str) -> Iterator[ConfigError]:
    """Run a step until it is drawn or something stands in for it; yield what is wrong."""
    while True:
        try:
            with np.errstate(all="ignore"):  # what stands in may be the same for everybody
                synthetic.run_step(people, step, place=place)
            return
        except ConfigError as error:
            yield error
            lacking = error.values.get("name")
            if lacking not in people.columns.index or lacking in people.table:
                _stand_in(people, step.values())
                return
            _stand_in(people, [lacking])  # told once, and not by every step that asks for it


def _cells(of: Study) -> pd.DataFrame:
    """Return every cell of the population with as many people."""
    names = list(of.config.weighting.cells)
    outside = of.config.weighting.sample_share
    codes = [[c for c in of.items[n].options if c not in outside.get(n, ())] for n in names]
    whole = pd.MultiIndex.from_product(codes, names=names)
    return whole.to_frame(index=False).assign(population=_PER_CELL)


def _stand_in(people: synthetic.People, named: Iterable[Any]) -> None:
    """Fill what a step names, so that the next ones are not blamed for it."""
    known = {*people.columns.index, *people.of.items}
    for name in filter(lambda value: isinstance(value, str), named):
        meant = difflib.get_close_matches(name, known, n=1) if name not in known else [name]
        for own in dict.fromkeys((name, *meant)):
            item = people.of.items.get(own)
            for column in item.columns if item is not None and item.kind == "MA" else [own]:
                if column not in people.table:
                    people.table[column] = next(iter(people.codes.get(column, ())), 0)
            people.table[f"{own}_chance"] = 0.5  # as `calibrate` leaves
