"""Files that a form sends: bytes, files on disk, or both with name and media type."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, cast

from cfaig_integrations.errors import ConfigError, shown
from cfaig_integrations.gateway.media_types import check_media_type, media_type_of
from cfaig_integrations.gateway.run_input import Upload

File: TypeAlias = bytes | Path | tuple[str, bytes, str]
"""Contents, a path, or (filename, contents, media type)."""

_UNKNOWN = "application/octet-stream"


def read_files(files: Mapping[str, File] | None) -> dict[str, Upload] | None:
    """The files of a form with their contents.

    Raises:
        ConfigError: A value is of another type, or a file cannot be read.
    """
    if files is None:
        return None
    if not isinstance(files, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]  # users call this without a type checker
        raise ConfigError(f"files is a {type(files).__name__}.", field="files", remedy="Use a dict: {field: file}.")
    return {str(name): _read(str(name), file) for name, file in files.items()}


def _read(name: str, file: object) -> Upload:
    field = f"files[{name!r}]"
    match file:
        case bytes():
            return name, file, media_type_of(file) or _UNKNOWN
        case Path():
            try:
                data = file.read_bytes()
            except OSError as error:
                raise ConfigError(
                    f"{field}={shown(file)} cannot be read: {error}.",
                    field=field,
                    value=str(file),
                    remedy="Correct the path, or pass the contents as bytes.",
                ) from error
            return file.name, data, media_type_of(data, file.name) or _UNKNOWN
        case (str(), bytes(), str(media_type)):
            check_media_type(field, media_type)
            return cast("Upload", file)
        case _:
            raise ConfigError(
                f"{field} is a {type(file).__name__}.",
                field=field,
                remedy="Use bytes, a Path, or a tuple (filename, bytes, media_type).",
            )
