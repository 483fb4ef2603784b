"""What trips: the events of the demo. Their times are invented, their consequences are not: those come out of the power flow."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from gridtone.demo.grid import Corridor

Kind = Literal["circuit", "feeder", "transformer", "corridor", "storm"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LIKELIHOOD = (0.35, 0.25, 0.1, 0.15, 0.15)
"""Of the kinds, in their order."""
STORM_TRIPS = 3
STORM_STEPS_BETWEEN_TRIPS = 3


class Branch(NamedTuple):
    table: Literal["line", "trafo"]
    element: int


def choose_trips(
    kind: Kind, corridors: Sequence[Corridor], line_loading_pct: np.ndarray, load_mw: np.ndarray, transformers: int, rng: np.random.Generator
) -> dict[int, list[Branch]]:
    """Choose what trips, as steps from now -> branches.

    * `circuit`: one circuit of a heavily loaded double line; its twin takes over the flow.
    * `feeder`: a single line that alone supplies loads.
    * `transformer`: one of the transformers to the transmission grid.
    * `corridor`: every circuit of a double line that alone supplies loads, as when a mast falls.
    * `storm`: several of the corridors that supply loads, one after another.
    """

    def lines(corridor: Corridor) -> list[Branch]:
        return [Branch("line", line) for line in corridor.circuits]

    def supplying(candidates: Sequence[Corridor], count: int) -> list[Corridor]:
        """Draw some, the likelier the more load they supply."""
        supplied = np.array([load_mw[list(corridor.loads)].sum() for corridor in candidates])
        return [candidates[i] for i in rng.choice(len(candidates), count, replace=False, p=supplied / supplied.sum())]

    single = [corridor for corridor in corridors if len(corridor.circuits) == 1 and corridor.loads]
    double = [corridor for corridor in corridors if len(corridor.circuits) > 1]
    match kind:
        case "circuit":
            by_loading = sorted((circuit for corridor in double for circuit in corridor.circuits), key=lambda line: -line_loading_pct[line])
            return {0: [Branch("line", int(rng.choice(by_loading[:6])))]}
        case "feeder":
            return {0: lines(supplying(single, 1)[0])}
        case "transformer":
            return {0: [Branch("trafo", int(rng.integers(transformers)))]}
        case "corridor":
            return {0: lines(supplying([corridor for corridor in double if corridor.loads], 1)[0])}
        case "storm":
            chosen = supplying([corridor for corridor in corridors if corridor.loads], STORM_TRIPS)
            return {i * STORM_STEPS_BETWEEN_TRIPS: lines(corridor) for i, corridor in enumerate(chosen)}
