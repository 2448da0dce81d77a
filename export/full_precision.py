"""Models that were trained in half precision answer in full."""

import keras
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.export.signatures import served

_HALF = {"bfloat16", "float16", "mixed_bfloat16", "mixed_float16"}


def in_float32(model):
    """Returns a model that computes in float32: the given one, or if its layers do not, another with its weights.

    The weights are float32 as they were trained, or their averages where the model has any; the other model has no
    optimizers, and nothing that it does changes the given one.

    Arguments:
        model: a generative model.

    Raises:
        InputError: it is no model of tfgen, or can not be built anew from its arguments.
    """
    served(model)
    if not any(layer.compute_dtype in _HALF for layer in _layers(model)):
        return model
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        full = type(model).from_config(_in_full(model.get_config()))
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{model.name}: can not be built in float32 to be exported ({reason})") from error
    finally:
        keras.config.set_dtype_policy(before)
    averages = {id(weight) for average in model.averages.values() for weight in average.weights}
    with model.averaged_weights():
        weights = [weight for weight in model.weights if id(weight) not in averages]
        if [weight.shape for weight in weights] != [weight.shape for weight in full.weights]:
            raise InputError(f"{model.name}: built in float32 it has other weights; it can not be exported")
        for weight, other in zip(weights, full.weights, strict=True):
            other.assign(tf.cast(weight.value, other.dtype))
    return full


def _layers(model) -> list[keras.layers.Layer]:
    return [layer for layer in model._flatten_layers(include_self=False) if layer.weights]


def _in_full(config):
    """Returns a model's configuration with float32 wherever a half precision stands as a dtype or a policy."""
    if isinstance(config, dict):
        return {key: _in_full(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_in_full(value) for value in config]
    return "float32" if isinstance(config, str) and config in _HALF else config
