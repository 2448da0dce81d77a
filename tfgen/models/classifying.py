"""Adversarial models whose discriminator knows classes."""

import tensorflow as tf

from tfgen.endpoints import Example, endpoint
from tfgen.models.adversarial import AdversarialModel
from tfgen.models.players import Batch, Terms
from tfgen.precision import full


class ClassifyingModel(AdversarialModel):
    """A generator of examples, and a discriminator that tells their classes.

    A model gives `score`, how real the discriminator finds an example, and `class_logits` if these are not all of the
    discriminator's numbers. `evaluate` reports the accuracy on the examples whose class is known.

    Arguments:
        classes: how many the discriminator tells; 1 if it tells none.
        kwargs: as of `AdversarialModel`.
    """

    def __init__(self, *, classes: int, **kwargs):
        super().__init__(**{"scores": classes} | kwargs)
        self.classes = classes

    def logits(self, x) -> tf.Tensor:
        """Returns all of the discriminator's numbers for what networks see, float32 `(batch, scores)`."""
        return full(self.discriminator(x, training=self.in_training))

    def class_logits(self, x) -> tf.Tensor:
        """Returns the logits of the classes for what networks see, float32 `(batch, classes)`."""
        return self.logits(x)

    def score(self, x) -> tf.Tensor:
        raise NotImplementedError

    @endpoint(returns="probability", x=Example())
    def classify(self, x):
        """Returns the probability of each class, float32 `(batch, classes)`.

        Arguments:
            x: uint8 levels `(batch, height, width, channels)`, or float32 points `(batch, size)`.
        """
        return tf.nn.softmax(self.class_logits(self.example.to_network(x)))

    def figures(self, batch: Batch) -> Terms:
        if self.label is None:
            return {}
        label = batch["label"]
        found = tf.argmax(self.class_logits(self.real(batch)), -1, label.dtype)
        return {"accuracy": tf.cast(tf.boolean_mask(found == label, label >= 0), tf.float32)}

    def offers(self, name):
        return super().offers(name) and (name != "classify" or self.classes > 1)
