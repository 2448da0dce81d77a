"""The files of an artifact: what the card tells of them, and whether that is so."""

import hashlib
import os
import pathlib
import re
import stat

from tfgen.errors import InputError
from tfgen.export.card import DIGEST, NAME, read_card, write_card

# They can not tell of themselves.
_UNLISTED = {NAME, DIGEST}

_SHA256 = re.compile("[0-9a-f]{64}")


def seal(folder: pathlib.Path, card: dict) -> None:
    """Writes the card of a folder that is otherwise complete.

    It holds `files`: path of each file, with `/` and relative to the folder -> `size` in bytes and `sha256`.

    Arguments:
        folder: of the artifact.
        card: what else the card tells.
    """
    files = {
        name: {"size": file.stat().st_size, "sha256": _sha256(file)}
        for name, file in walk(folder).items()
        if name not in _UNLISTED
    }
    write_card(folder, card | {"files": files})


def check_files(path, *, content: bool = True) -> dict:
    """Returns the card of an artifact in whose folder is what the card tells of, and nothing else.

    The card's own SHA-256 stands beside it. So damage is found wherever it is; but who can write into the folder can
    write another card, and only a copy of `card.json.sha256` from elsewhere would tell.

    Arguments:
        path: the artifact's folder, which may be a link, but nothing in it; or a TF-Lite file.
        content: whether files are read; else only their sizes are compared.

    Raises:
        InputError: no such artifact, a card that is damaged, of another format, or tells of files outside of the folder,
            or a file that is missing, additional, a link, of another size or content. The message names the file.
    """
    if pathlib.Path(path).suffix == ".tflite":
        from tfgen.export.lite.files import read_file

        return read_file(path)[1]
    folder, card = pathlib.Path(path), read_card(path)
    listed = _listed(card, folder / NAME)
    found = walk(folder)
    for name in sorted(listed.keys() - found.keys()):
        raise InputError(f"{folder / name}: missing; export anew")
    for name in sorted(found.keys() - listed.keys() - _UNLISTED):
        raise InputError(f"{folder / name}: does not belong to the artifact; remove it, or export anew")
    for name, (size, _) in listed.items():
        if (actual := found[name].stat().st_size) != size:
            raise InputError(f"{folder / name}: damaged, {actual} bytes instead of {size}; export anew")
    if content:
        for name, (_, digest) in listed.items():
            if _sha256(found[name]) != digest:
                raise InputError(f"{folder / name}: damaged, its SHA-256 is not that in the card; export anew")
    return card


def _listed(card: dict, where: pathlib.Path) -> dict[str, tuple[int, str]]:
    """Returns relative path -> size and SHA-256 as a card tells them."""
    files = card.get("files")
    if not isinstance(files, dict):
        raise InputError(f"{where}: tells of no files, so it is not an artifact's card; export anew")
    listed = {}
    for name, told in files.items():
        # Also what would be absolute on another system, or another name of a file that is listed already.
        if name in _UNLISTED or re.search(r"[\\:\0]", name) or any(part in ("", ".", "..") for part in name.split("/")):
            raise InputError(f"{where}: {name!r} is no path inside of the artifact; do not trust it")
        size, digest = (told.get("size"), told.get("sha256")) if isinstance(told, dict) else (None, None)
        if not isinstance(size, int) or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise InputError(f"{where}: tells neither size nor SHA-256 of {name!r}; export anew")
        listed[name] = (size, digest)
    return listed


def walk(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns relative path -> file, sorted; refuses links, pipes and devices, which lead out or never end."""
    found = {}
    try:
        for parent, folders, files in os.walk(folder, onerror=_raise):
            for name in [*folders, *files]:
                file = pathlib.Path(parent, name)
                mode = file.lstat().st_mode
                if stat.S_ISREG(mode):
                    found[file.relative_to(folder).as_posix()] = file
                elif not stat.S_ISDIR(mode):
                    raise InputError(f"{file}: is a link or a device; an artifact holds nothing but files of its own")
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return dict(sorted(found.items()))


def _raise(error: OSError):
    raise error


def _sha256(file: pathlib.Path) -> str:
    try:
        with open(file, "rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
