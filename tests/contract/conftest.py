"""Small models of all entries of the registry, so that a new model is tested by being registered."""

import dataclasses
import inspect
import typing

import keras
import numpy as np
import pytest

import tfgen
from tfgen.endpoints import Example, Label
from tfgen.errors import InputError
from tfgen.models import GenerativeModel
from tfgen.registry import get_class
from tfgen.specs import Images, Labels, Points

#: What makes a model small, by the words for size that constructors share. A model is built with those that it knows.
SMALL = {
    "width": 6, "head_width": 6, "hidden": (6,), "latent_size": 3, "blocks": 1, "layers": 1, "depth": 2,
    "map_features": 4, "mixtures": 2, "discriminator_steps": 2, "generator_steps": 2, "upscalings": 1,
    "resolutions": 2, "code_size": 3, "components": 2, "generations": 2, "generator_draws": 2, "chains": 1,
    "samples": 3, "maps": 2, "units": (6,), "context": 3, "variables": 2, "classes": 3, "codebook_size": 5,
    "prior_width": 6, "prior_depth": 2, "halvings": 1, "rungs": ((6, 3), (5, 2)), "warm_up": 5, "pixel_width": 6,
    "latent_maps": 2, "known": ((), ("lower_left",)), "baseline": (6,),
}  # fmt: skip

#: The first that a constructor takes: of few levels and several channels, then what a paper may insist on.
EXAMPLES = (
    Images((4, 4, 3), 5),
    Images((8, 8, 3), 5),
    Images((8, 8, 1), 5),
    Images((8, 8, 1), 2),
    Images((16, 16, 3), 5),
    Images((28, 28, 1), 2),
    Images((32, 32, 3)),
    Points(3),
)


def small_arguments(cls: type) -> dict:
    """Returns arguments for a small model, none of which is the default."""
    parameters = inspect.signature(cls.__init__).parameters
    arguments = {name: value for name, value in SMALL.items() if name in parameters} | {"seed": 7, "name": "small"}
    if "hidden" in parameters and parameters["hidden"].annotation is int:
        arguments["hidden"] = SMALL["hidden"][0]
    if "label" in parameters:
        arguments["label"] = Labels(3)
    hint = typing.get_type_hints(cls.__init__).get("example", Images | Points)
    kinds = typing.get_args(hint) or (hint,)
    reasons = []
    for example in EXAMPLES:
        if isinstance(example, kinds):
            try:
                cls(example=example, **arguments)
                return {"example": example} | arguments
            except InputError as error:
                reasons.append(f"{example}: {error}")
    pytest.fail(f"{cls.__name__} takes none of the contract's examples: {reasons}")


@dataclasses.dataclass
class Small:
    """A model after two steps of training, with what was known before."""

    id: str
    cls: type
    arguments: dict
    model: GenerativeModel
    history: dict[str, list[float]]

    def batch(self, count: int, seed: int = 0) -> dict[str, np.ndarray]:
        """Returns examples, and labels where the model is conditional."""
        batch = {self.model.example.key: Example().reference(self.model, count, seed)}
        return batch | ({"label": Label().reference(self.model, count, seed)} if self.model.label else {})

    def untrained(self) -> GenerativeModel:
        """Returns a model of the same arguments."""
        return self.cls(**self.arguments)


#: Models of which every promise is tested by `make test`: one of each base and each way to train, save or sample. What
#: traces many graphs is left to `make proofs` for the others; they too are built and trained by both.
REPRESENTATIVES = {
    "adagan", "am_gan", "cvae", "dcgan", "ebgan", "iaf_vae", "lapgan", "made", "pixel_cnn", "pixel_rnn_row", "vae", "vq_vae",
}  # fmt: skip


def pytest_generate_tests(metafunc):
    ids = [entry.id for entry in tfgen.list_models()]
    if "small" in metafunc.fixturenames:
        costly = hasattr(metafunc.function, "costly")
        marks = {id: [pytest.mark.slow] if costly and id not in REPRESENTATIVES else [] for id in ids}
        params = [pytest.param(id, id=id, marks=marks[id]) for id in ids]
        metafunc.parametrize("small", params, indirect=True, scope="module")
    if "id" in metafunc.fixturenames:
        metafunc.parametrize("id", ids)


@pytest.fixture(scope="module")
def small(request):
    keras.utils.set_random_seed(0)
    cls = get_class(request.param)
    arguments = small_arguments(cls)
    trained = Small(request.param, cls, arguments, cls(**arguments), {})
    trained.model.compile()
    epochs = len(trained.model.stages())
    trained.history = trained.model.fit(trained.batch(8), batch_size=4, epochs=epochs, verbose=0).history
    rng = np.random.default_rng(0)
    for weight in trained.model.trainable_weights:
        # Fresh networks often answer the same to everything, which would hide what is lost or mixed up.
        spread = 1.0 / np.sqrt(np.prod(weight.shape[:-1])) if len(weight.shape) > 1 else 0.5
        weight.assign_add(spread * rng.normal(size=weight.shape))
    return trained
