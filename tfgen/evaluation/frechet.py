"""Fréchet distance between Gaussians fitted to features."""

import numpy as np

from tfgen.errors import InputError


def frechet_distance(real, samples) -> float:
    r"""Returns the Fréchet distance between features of real examples and of samples, 0 at best.

    .. math:: \|\mu_1 - \mu_2\|^2 + \mathrm{tr}\big(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2}\big)

    (Heusel et al. 2017, eq. 6), computed in float64 with the covariances of N - 1. With the pool features of the
    Inception network of 2015 it is the FID. Two finite sets of the same distribution are some distance apart, the more
    the smaller they are: compare at equal N only, and beside the distance of real from real.

    Arguments:
        real: features of real examples, `(count, size)`.
        samples: features of samples, `(count, size)`.

    Raises:
        InputError: fewer than two examples, features that are not finite, or of different sizes.
    """
    real, samples = (_features(where, x) for where, x in (("real", real), ("samples", samples)))
    if real.shape[1] != samples.shape[1]:
        raise InputError(f"Fréchet distance: {real.shape[1]} real features, {samples.shape[1]} of samples")
    difference = real.mean(0) - samples.mean(0)
    a, b = np.atleast_2d(np.cov(real, rowvar=False)), np.atleast_2d(np.cov(samples, rowvar=False))
    values, vectors = np.linalg.eigh(a)
    root = vectors * np.sqrt(values.clip(0.0)) @ vectors.T
    # The eigenvalues of a @ b, but of a symmetric matrix, so that rounding cannot make them complex.
    overlap = np.sqrt(np.linalg.eigvalsh(root @ b @ root).clip(0.0)).sum()
    return float(difference @ difference + np.trace(a) + np.trace(b) - 2.0 * overlap)


def _features(where: str, values) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or len(values) < 2 or not values.shape[1]:
        raise InputError(f"Fréchet distance: {where} of shape {values.shape}, expected (2 or more, features)")
    if not np.isfinite(values).all():
        raise InputError(f"Fréchet distance: {where} features are not all finite")
    return values
