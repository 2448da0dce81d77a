"""How sure a classifier is of samples, and whether they have the classes of the data."""

import numpy as np

from tfgen.errors import InputError


def am_score(train, samples) -> float:
    r"""Returns the AM score in nats, 0 at best (Zhou et al. 2018).

    .. math:: KL(\bar C_{train} \| \bar C_G) + E_x[H(C(x))]

    with the classifier's answers C on samples, their mean, and its mean on the training data. Unlike the Inception
    score it knows how often each class should occur. The classifier is to be trained on the same data; samples may fool
    the discriminator that they were trained against.

    Arguments:
        train: the classifier's probabilities for the training data, `(count, classes)`.
        samples: those for samples, `(count, classes)`.

    Raises:
        InputError: these are no probabilities of the same classes.
    """
    train, samples = (_probabilities(where, p) for where, p in (("train", train), ("samples", samples)))
    if train.shape[1] != samples.shape[1]:
        raise InputError(f"AM score: {train.shape[1]} classes of the data, {samples.shape[1]} of samples")
    expected, found = train.mean(0), samples.mean(0)
    occurs = expected > 0
    with np.errstate(divide="ignore"):  # a class that is missing altogether is infinitely far
        divergence = np.sum(expected[occurs] * np.log(expected[occurs] / found[occurs]))
    entropies = -np.sum(samples * np.log(np.where(samples > 0, samples, 1.0)), 1)
    return float(divergence + entropies.mean())


def _probabilities(where: str, values) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not values.size or values.min() < 0 or not np.allclose(values.sum(1), 1.0, atol=1e-3):
        raise InputError(f"AM score: {where} of shape {values.shape}, expected probabilities (count, classes)")
    return values
