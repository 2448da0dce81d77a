"""Requests that a server answers before it takes others, so that no client waits for a graph to be compiled."""

import pathlib

import tensorflow as tf

from tfgen.errors import InputError
from tfgen.export.comparison import Arrays, Case

#: File of a SavedModel where TensorFlow Serving looks for them.
NAME = "assets.extra/tf_serving_warmup_requests"


def import_protos():
    """Returns the module of `PredictionLog`.

    Raises:
        InputError: tensorflow-serving-api is not installed.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise InputError(
            f'warm-up requests need tensorflow-serving-api ({error}): pip install "tfgen[serving]", or leave them out'
        ) from error
    return prediction_log_pb2


def write_warmup(folder: pathlib.Path, name: str, reference: list[Case]) -> None:
    """Writes the inputs of reference cases as requests, in records of `PredictionLog`.

    Arguments:
        folder: of the SavedModel.
        name: of the model at the server.
        reference: the cases.

    Raises:
        InputError: tensorflow-serving-api is not installed.
    """
    protos = import_protos()
    file = folder / NAME
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for case in reference:
            log = protos.PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = name, case.signature
            for key, value in case.inputs.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def read_warmup(folder) -> list[tuple[str, str, Arrays]]:
    """Returns name of the model, signature and inputs of each warm-up request of a SavedModel.

    Raises:
        InputError: tensorflow-serving-api is not installed, or the file is missing or damaged.
    """
    protos = import_protos()
    file = pathlib.Path(folder) / NAME
    found = []
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            request = protos.PredictionLog.FromString(record).predict_log.request
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
            found.append((request.model_spec.name, request.model_spec.signature_name, inputs))
    except Exception as error:  # there is no end to what a damaged file can raise
        raise InputError(f"{file}: missing or damaged; export anew") from error
    if not found:  # a beginning of a record counts as the end of a file
        raise InputError(f"{file}: no requests in it; export anew")
    return found
