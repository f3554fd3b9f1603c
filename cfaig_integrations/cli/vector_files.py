"""Files of `cfaig embed`: the vectors of a run that can be resumed, and the finished output."""

from __future__ import annotations

import json
import os
import struct
import sys
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from cfaig_integrations.errors import ConfigError, ProtocolError

_HEADER_ALIGNMENT = 64


class PartialFile:
    """Vectors in the order in which they came: a first line about the run, then a line of JSON per text.

    What a killed process wrote of its last line is discarded.

    Args:
        path: The file; created if it does not exist.
        run: What must be equal in the run that is resumed.

    Raises:
        ConfigError: The file is that of another run.
        OSError: It cannot be read or written.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        self._offsets: dict[int, int] = {}
        self._file = path.open("a+b")
        try:
            end = self._read(run)
            self._file.truncate(end)
            if end == 0:
                self._write(json.dumps(run).encode() + b"\n")
        except BaseException:
            self._file.close()
            raise

    @property
    def done(self) -> Mapping[int, int]:
        """The texts that have a vector: index -> place in the file."""
        return self._offsets

    def _read(self, run: Mapping[str, Any]) -> int:
        """Reads what is there; the end of its last complete line."""
        self._file.seek(0)
        end = 0
        for number, line in enumerate(self._file):
            if not line.endswith(b"\n"):
                break
            if number:
                self._offsets[cast("dict[str, int]", json.loads(line))["index"]] = end
            elif line != json.dumps(run).encode() + b"\n":
                raise ConfigError(
                    f"{self.path} is from a run with another input, model or option.",
                    field="--output",
                    value=str(self.path),
                    remedy="--restart discards it; or use another --output.",
                )
            end += len(line)
        return end

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._file.flush()

    def add(self, vectors: Mapping[int, list[float]]) -> None:
        """Adds vectors by the indexes of their texts."""
        end, lines = self._file.seek(0, os.SEEK_END), b""
        for index, vector in vectors.items():
            self._offsets[index] = end + len(lines)
            lines += json.dumps({"index": index, "embedding": vector}).encode() + b"\n"
        self._write(lines)

    def vector(self, index: int) -> bytes:
        """The JSON list of the vector of a text."""
        self._file.seek(self._offsets[index])
        line = self._file.readline()
        return line[line.index(b"[") : -2]

    def close(self) -> None:
        """Closes the file, and deletes it if it has no vector."""
        self._file.close()
        if not self._offsets:
            self.path.unlink(missing_ok=True)


def finish(partial: PartialFile, output: Path, texts: Mapping[int, str]) -> int:
    """Writes the output, complete or not at all, and deletes the partial file.

    Returns:
        Length of the vectors.
    """
    unfinished = output.with_name(f"{output.name}.tmp")
    with unfinished.open("wb") as file:
        size = (_write_npy if output.suffix == ".npy" else _write_jsonl)(file, texts, partial)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(output)
    partial.close()
    partial.path.unlink()
    return size


def _write_jsonl(file: BinaryIO, texts: Mapping[int, str], partial: PartialFile) -> int:
    size = 0
    for index, text in texts.items():
        vector = partial.vector(index)
        size = size or vector.count(b",") + 1
        file.write(b'{"index": %d, "text": %s, "embedding": %s}\n' % (index, json.dumps(text).encode(), vector))
    return size


def _write_npy(file: BinaryIO, texts: Mapping[int, str], partial: PartialFile) -> int:
    """Writes float32 in NumPy's format, version 1.0 (numpy.lib.format)."""
    rows = _rows(texts, partial)
    first = next(rows, array("f"))
    shape = f"({len(texts)}, {len(first)})"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    prefix = b"\x93NUMPY\x01\x00"
    padding = -(len(prefix) + 2 + len(header) + 1) % _HEADER_ALIGNMENT
    file.write(prefix + struct.pack("<H", len(header) + padding + 1) + header + b" " * padding + b"\n")
    file.write(first.tobytes())
    for row in rows:
        if len(row) != len(first):
            raise ProtocolError(f"Vectors of {len(first)} and of {len(row)} numbers cannot be rows of one array.")
        file.write(row.tobytes())
    return len(first)


def _rows(texts: Mapping[int, str], partial: PartialFile) -> Iterator[array[float]]:
    for index in texts:
        row = array("f", cast("list[float]", json.loads(partial.vector(index))))
        if sys.byteorder == "big":
            row.byteswap()
        yield row
