"""How tensorflow-datasets is used here: silently, and without a long wait for a network that is not there."""

import contextlib
import io
import logging
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator

from tfgen.errors import InputError, first_line


@contextlib.contextmanager
def quiet() -> Iterator:
    """Gives the module `tensorflow_datasets`, without its progress bars, notices and warnings."""
    import tensorflow_datasets as tfds
    from absl import logging as absl_logging

    urllib3, verbosity = logging.getLogger("urllib3"), absl_logging.get_verbosity()
    level = urllib3.level
    urllib3.setLevel(logging.ERROR)
    absl_logging.set_verbosity(absl_logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield tfds
    finally:
        tfds.enable_progress_bar()
        absl_logging.set_verbosity(verbosity)
        urllib3.setLevel(level)


def prepare(name: str, builder) -> None:
    """Downloads or computes a set into the builder's data_dir.

    Raises:
        InputError: the network, a file that has to be fetched by hand, or a package is missing.
    """
    with quiet() as tfds:
        _check_network(name, builder)
        config = tfds.download.DownloadConfig(try_download_gcs=False)
        try:
            builder.download_and_prepare(download_config=config)
        except Exception as error:
            if not builder.is_prepared():
                raise InputError(f"{name}: could not be prepared in {builder.data_dir}: {first_line(error)}") from None
            builder.info.read_from_directory(builder.data_dir)  # another process was faster


def _check_network(name: str, builder) -> None:
    """Raises InputError if a host cannot be reached: the download itself would retry for minutes."""
    if urllib.request.getproxies():
        return
    hosts = {urllib.parse.urlsplit(url).hostname for url in builder.url_infos or {}}
    for host in sorted(filter(None, hosts)):
        try:
            socket.create_connection((host, 443), timeout=10).close()
        except OSError as error:
            raise InputError(
                f"{name}: cannot be downloaded, {host} is out of reach ({error}); connect this machine to the "
                f"network, or copy the set from another one into {builder.data_dir_root}"
            ) from None
