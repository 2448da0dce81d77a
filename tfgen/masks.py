"""Masks of examples that are seen in part."""

from collections.abc import Sequence

import numpy as np

from tfgen.errors import InputError, unknown
from tfgen.specs import Images, Points

#: The quadrants of a picture: which half of the rows, and of the columns.
QUADRANTS = {"upper_left": (0, 0), "upper_right": (0, 1), "lower_left": (1, 0), "lower_right": (1, 1)}


def from_parts(example: Images | Points, known: Sequence[Sequence[str | int]], where: str = "known") -> np.ndarray:
    """Returns masks, bool `(count, height, width)` or `(count, size)`, true where an example is seen.

    Arguments:
        example: what an example is.
        known: for each mask the names of the quadrants of a picture, or the numbers of the coordinates of a point, that are
            seen; under `()` nothing is. The second half of an odd side is the larger one.
        where: what the message names.

    Raises:
        InputError: a part in place of a tuple of parts, no such part, or nothing is left hidden.
    """
    masks = np.zeros((len(known), *example.shape[:2]), bool)
    halves = [(slice(side // 2), slice(side // 2, side)) for side in example.shape[:2]]
    for mask, parts in zip(masks, known, strict=True):
        if isinstance(parts, (str, int)):
            raise InputError(f"{where}: {parts!r}, expected a tuple of parts for each mask, as (('lower_left',),)")
        for part in parts:
            if isinstance(example, Points):
                if part not in range(example.size):
                    raise InputError(f"{where}: coordinate {part!r}, expected 0..{example.size - 1}")
                mask[part] = True
            elif part not in QUADRANTS:
                raise InputError(f"{where}: {unknown('quadrant', str(part), QUADRANTS)}")
            else:
                row, column = QUADRANTS[part]
                mask[halves[0][row], halves[1][column]] = True
        if mask.all():
            raise InputError(f"{where}: {tuple(parts)} leaves nothing hidden")
    return masks
