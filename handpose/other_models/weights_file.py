"""A checkpoint of PyTorch Lightning as tensors by name, without running anything in it.

Such a file is a pickle: besides the weights it holds the options of the training as objects of
whichever library they were in, and a pickle can call any function while it is read. Here tensors
and plain containers are read; objects of the libraries of `INERT` become empty records, whose code
is neither imported nor called; every other name is refused.

`torch.load` is not used: it runs a file that looks like a program (TorchScript) to it, and a zip
archive can be made to look so to it alone. Here the one reader that lists the file also reads it.
"""

from __future__ import annotations

import builtins
import collections
import io
import pickle
import sys
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from handpose.errors import HandPoseError
from handpose.file_content import AGAIN, recognise

REBUILT: dict[tuple[str, str], Callable[..., Any]] = {
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): lambda *_: {},
    ("collections", "Counter"): lambda *_: {},
    ("collections", "deque"): lambda *_: [],
}
"""All that is called for a file: what makes tensors, and containers."""

STORED: dict[str, torch.dtype] = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
    "UntypedStorage": torch.uint8,
}
"""What numbers are in a tensor's memory, by the name of its kind in `torch` or `torch.storage`."""

BUILT_IN = ("bool", "complex", "dict", "float", "frozenset", "int", "list", "set", "str", "tuple")
"""Types of Python's own; files of Python 2 have them in `__builtin__`."""

INERT = (
    *("yacs", "omegaconf", "hydra", "easydict"),  # options
    *("pytorch_lightning", "lightning", "lightning_fabric", "torchmetrics"),
    *("torch.optim", "torch.Size", "torch.device"),
    *("numpy", "_codecs.encode", "pathlib", "argparse", "typing", "datetime", "enum"),
    *("hamer", "wilor"),  # the projects' own
)
"""Libraries, or names in them, whose objects may lie in such a file beside the weights."""


class WeightsError(HandPoseError):
    """A checkpoint is missing, damaged, of another network, or more than weights."""


class EmptyRecord(dict[Any, Any]):
    """Stands for any object: takes what belongs to it, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> EmptyRecord:
        """Whatever it would be made of."""
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever it would be made of."""

    def __setstate__(self, state: Any) -> None:
        """Ignore it."""

    def append(self, item: Any) -> None:
        """Ignore it."""

    def extend(self, items: Any) -> None:
        """Ignore them."""

    def add(self, item: Any) -> None:
        """Ignore it."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


class ForbiddenNameError(pickle.UnpicklingError):
    """A file asks for something that is no weight."""


class Archive:
    """The records of a file of `torch.save`, listed and read by PyTorch's own reader."""

    def __init__(self, path: Path) -> None:
        """Open it; RuntimeError if it is damaged."""
        self.path = path
        self.reader = torch._C.PyTorchFileReader(str(path))
        self.names = frozenset(self.reader.get_all_records())
        self._file = torch.UntypedStorage.from_file(str(path), False, path.stat().st_size)
        self._memory: dict[tuple[str, int], torch.UntypedStorage] = {}

    def memory(self, key: str, size: int) -> torch.UntypedStorage:
        """The first bytes of a record of numbers, in the file until they are used.

        Raises:
            UnpicklingError: there is no such record, or it is shorter.
        """
        name = f"data/{key}"
        if name not in self.names:
            raise pickle.UnpicklingError(f"{name} is missing")
        # tensors that share memory are to share it here too
        if (key, size) not in self._memory:
            start: int = self.reader.get_record_offset(name)  # type: ignore[attr-defined]
            held = self.reader.get_record_size(name)
            if not 0 <= size <= held or start + size > len(self._file):
                raise pickle.UnpicklingError(f"{name} has {held:,} bytes, expected {size:,}")
            self._memory[key, size] = self._file[start : start + size]
        return self._memory[key, size]


class WeightsUnpickler(pickle.Unpickler):
    """Knows the names of `REBUILT` and `BUILT_IN`, replaces those of `INERT`, refuses others."""

    def __init__(self, stream: io.BytesIO, archive: Archive | None = None) -> None:
        """Without an archive no tensor can be read."""
        super().__init__(stream, encoding="utf-8")
        self._archive = archive

    def persistent_load(self, pid: Any) -> torch.TypedStorage:
        """The memory of a tensor, on the CPU wherever it was before.

        Raises:
            UnpicklingError: it is described in another way than `torch.save` does.
        """
        match pid:
            case ("storage", torch.dtype() as dtype, str(key), str(), int(count)) if self._archive:
                memory = self._archive.memory(key, count * dtype.itemsize)
                return torch.TypedStorage(  # type: ignore[no-untyped-call]
                    wrap_storage=memory, dtype=dtype, _internal=True
                )
        raise pickle.UnpicklingError(f"found the tensor {pid!r:.200}")

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name; called before anything of it can run.

        Raises:
            ForbiddenNameError: it is none that such a file needs.
        """
        if (module, name) in REBUILT:
            rebuild = REBUILT[module, name]
            # not the function itself, whose attributes the file could set
            return rebuild if isinstance(rebuild, type) else lambda *args: rebuild(*args)
        if module in ("torch", "torch.storage") and name in STORED:
            return STORED[name]
        if module in ("builtins", "__builtin__") and name in BUILT_IN:
            return getattr(builtins, name)
        full = f"{module}.{name}"
        if any(f"{full}.".startswith(f"{known}.") for known in INERT):
            return EmptyRecord
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return EmptyRecord
        raise ForbiddenNameError(full)


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint's `state_dict`, or of a file that is a state dict itself.

    They stay in the file until they are used.

    Raises:
        WeightsError: it is missing or damaged, is no file of PyTorch, asks for a name that no
            weights need, or holds something else than tensors.
    """
    _check_format(path)
    try:
        archive = Archive(path)
    except RuntimeError as error:
        _cannot_read(path, error)
    _check_records(archive)
    try:
        pickled = io.BytesIO(archive.reader.get_record("data.pkl"))
        content = WeightsUnpickler(pickled, archive).load()
    except ForbiddenNameError as error:
        raise WeightsError(
            f"{path}: needs {error}, which no weights do; nothing of it was run. Such a file can "
            "run any program on this machine. Take the original file. If this one is an honest "
            "copy, save its weights alone where it was made: "
            "torch.save({'state_dict': checkpoint['state_dict']}, FILE)"
        ) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        _cannot_read(path, error)
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict) or isinstance(state, EmptyRecord) or not state:
        raise WeightsError(f"{path}: holds no state_dict, where weights are")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{path}: {name!r} in its state_dict is {type(value).__name__}, not a tensor"
            )
    return dict(state)


def _check_format(path: Path) -> None:
    """Refuse what is not the zip archive that torch.save writes."""
    if not path.is_file():
        raise WeightsError(f"{path}: {'is a folder' if path.is_dir() else 'not found'}")
    found = recognise(path)
    if found is not None and found.kind == "pickle":
        raise WeightsError(
            f"{path}: is a pickle, or a file of PyTorch before 1.6; expected one of torch.save as "
            "it is since then, such as the published checkpoints"
        )
    if found is None or found.kind != "torch":
        fault = found or "is no file of PyTorch"
        raise WeightsError(f"{path}: {fault}; expected a checkpoint")


def _check_records(archive: Archive) -> None:
    """Refuse a program, and what this reader would not read as others do or as it is meant."""
    path = archive.path
    if "constants.pkl" in archive.names:
        raise WeightsError(f"{path}: is a program (TorchScript); expected weights alone")
    with zipfile.ZipFile(path) as other:
        entries = other.infolist()
    # each name there is in the folder of the archive
    if sorted(entry.filename.partition("/")[2] for entry in entries) != sorted(archive.names):
        raise WeightsError(
            f"{path}: has two tables of contents that differ, as no file of torch.save has; it may "
            "be made to deceive. Nothing of it was run. Take the original file"
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise WeightsError(
            f"{path}: is compressed inside, as torch.save never writes it; take the original file"
        )
    order = archive.reader.get_record("byteorder") if "byteorder" in archive.names else b"little"
    if order != sys.byteorder.encode():
        raise WeightsError(
            f"{path}: its numbers have the byte order {order!r:.20}, expected {sys.byteorder} as "
            "this machine's; save the weights anew on a machine of this kind"
        )


def _cannot_read(path: Path, error: Exception) -> NoReturn:
    raise WeightsError(
        f"{path}: cannot be read ({type(error).__name__}: {error}); {AGAIN}"
    ) from None


def misfits(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> list[str]:
    """What keeps weights from a network: entries missing, unknown and of another shape."""
    missing = [name for name in wanted if name not in found]
    unknown = [name for name in found if name not in wanted]
    shaped = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in wanted
        if name in found and found[name].shape != wanted[name].shape
    ]
    return [
        f"{len(names):,} {what} ({_some(names)})"
        for what, names in (
            ("missing", missing),
            ("unknown", unknown),
            ("of another shape", shaped),
        )
        if names
    ]


def _some(names: Iterable[str], shown: int = 3) -> str:
    listed = list(names)
    return ", ".join(listed[:shown]) + (", ..." if len(listed) > shown else "")
