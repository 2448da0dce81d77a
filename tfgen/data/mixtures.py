"""Two-dimensional mixtures of Gaussians, the toy data of the literature on mode collapse."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Mixture:
    """Equal parts of round Gaussians.

    Arguments:
        modes: centres, float32 of shape `(number of modes, 2)`.
        sigma: standard deviation of each coordinate around its centre.
    """

    modes: np.ndarray
    sigma: float

    def sample(self, count: int, seed: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Draws points and their modes' indices; the first n are the same for every count >= n.

        Returns:
            Points, float32 `(count, 2)`, and modes, int32 `(count,)`.
        """
        random = np.random.default_rng(seed)
        mode = np.random.default_rng([*seed, 1]).integers(len(self.modes), size=count)
        point = self.modes[mode] + self.sigma * random.standard_normal((count, 2))
        return point.astype(np.float32), mode.astype(np.int32)


def ring(count: int = 8, radius: float = 2.0, sigma: float = 0.05) -> Mixture:
    """Returns modes at equal angles on a circle, beginning at `(radius, 0)` and going counter-clockwise."""
    angle = 2 * np.pi * np.arange(count) / count
    return Mixture((radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32), sigma)


def grid(side: int = 5, spacing: float = 1.0, sigma: float = 0.05) -> Mixture:
    """Returns modes on a square grid around the origin, row by row from the lowest `(x, y)`."""
    x = spacing * (np.arange(side) - (side - 1) / 2)
    return Mixture(np.stack(np.meshgrid(x, x, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32), sigma)


MIXTURES = {"ring": ring(), "grid": grid()}
