"""Reads torch.distributed.checkpoint's `.metadata`, a pickle, without running what somebody else may have put into it.

torch unpickles the file with all that a pickle can do. Here only the classes that describe stored tensors can be named;
the tensors themselves torch reads with `weights_only=True`.
"""

import pathlib
import pickle
from pathlib import PurePath
from typing import Any, BinaryIO

import torch
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint import filesystem as dcp_filesystem
from torch.distributed.checkpoint import metadata as dcp_metadata
from torch.distributed.checkpoint.metadata import Metadata
from torch.serialization import _get_layout

_DESCRIPTIONS = (
    "BytesStorageMetadata",
    "ChunkStorageMetadata",
    "Metadata",
    "MetadataIndex",
    "StorageMeta",
    "TensorProperties",
    "TensorStorageMetadata",
    "_MEM_FORMAT_ENCODING",
)
_ALLOWED: dict[tuple[str, str], Any] = {
    **{(dcp_metadata.__name__, name): getattr(dcp_metadata, name) for name in _DESCRIPTIONS},
    (dcp_filesystem.__name__, "_StorageInfo"): dcp_filesystem._StorageInfo,
    ("torch", "Size"): torch.Size,
    ("torch.serialization", "_get_layout"): _get_layout,
    # The folder that the checkpoint was written to: only a name.
    **{("pathlib", name): PurePath for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")},
    **{("pathlib._local", name): PurePath for name in ("PosixPath", "WindowsPath")},
    **{("torch", name): value for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it names {module}.{name}") from None


class SafeReader(FileSystemReader):
    """A `FileSystemReader` for checkpoints of unknown origin."""

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        """
        Raises:
            ValueError: the file is not the description of stored tensors.
        """
        path = pathlib.Path(self.path) / ".metadata"
        with path.open("rb") as file:
            metadata = read_metadata(file, str(path))
        metadata.storage_meta = dcp_metadata.StorageMeta(load_id=self.load_id)
        return metadata


def read_metadata(file: BinaryIO, name: str) -> Metadata:
    """
    Raises:
        ValueError: the file is not the description of stored tensors; the message starts with `name`.
    """
    try:
        metadata = _Unpickler(file).load()
        if not isinstance(metadata, Metadata):
            raise pickle.UnpicklingError(f"it holds a {type(metadata).__name__}")
        for stored in metadata.storage_data.values():
            # A name that leaves the folder would read a file of somebody else's choice.
            if PurePath(stored.relative_path).name != stored.relative_path:
                raise pickle.UnpicklingError(f"it names the file {stored.relative_path}")
    except Exception as error:  # a damaged pickle raises almost anything
        raise ValueError(
            f"{name} is not the description of a checkpoint's tensors ({error}); it was not opened"
        ) from error
    return metadata
