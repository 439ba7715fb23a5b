"""An unpickler for CIFAR-10's pickled batches, for files that are not trusted.

A pickle is a program. This one may use the opcodes that a batch needs, asks for numpy's array
constructors alone, and gets stand-ins for them: no code of numpy sees the file's values before
they have been checked. Time and memory are bounded by the file's size: the pure Python unpickler
allocates nothing that was only declared, dictionary keys are text (hashing a nested tuple takes
exponential time or overflows the stack), and the number of opcodes is limited.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UserError

MAX_OPCODES = 1_000_000
"""A batch of 10,000 images has 20,000 to 60,000: one to six for an image's label and file name."""

_OPCODES = {
    "framing and memo": "PROTO FRAME STOP MARK POP POP_MARK PUT BINPUT LONG_BINPUT MEMOIZE GET "
    "BINGET LONG_BINGET",
    # No LONG4: a label does not have more than 255 bytes.
    "plain values": "NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 FLOAT BINFLOAT",
    "text and bytes": "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8",
    "containers": "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS "
    "EMPTY_DICT DICT SETITEM SETITEMS",
    "arrays": "GLOBAL STACK_GLOBAL REDUCE BUILD",
}


@dataclass
class StoredArray:
    """An array as a pickle describes it; nothing has been checked yet."""

    shape: object = None
    kind: object = None
    fortran: object = False
    content: object = None

    def pixels(self) -> NDArray[np.uint8] | None:
        """The array when it is of uint8, else None.

        Raises:
            ValueError: The shape is not a tuple of sizes, or does not fit the number of bytes.
        """
        found = self._plain("u")
        return found if found is not None and found.dtype == np.uint8 else None

    def whole_numbers(self) -> list[int] | None:
        """The numbers of an array of one axis when it is of integers, else None.

        Raises:
            ValueError: As `pixels`.
        """
        found = self._plain("iu")
        return None if found is None or found.ndim != 1 else [int(n) for n in found]

    def floats(self) -> NDArray[np.floating[Any]] | None:
        """The array when it is of floating point, else None.

        Raises:
            ValueError: As `pixels`.
        """
        return self._plain("f")

    def _plain(self, kinds: str) -> NDArray[Any] | None:
        """The array when it is of one of these kinds of numbers, else None."""
        kind = self.kind.dtype() if isinstance(self.kind, _StoredType) else None
        if kind is None or kind.kind not in kinds:
            return None
        shape, content = self.shape, self.content
        if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("an array's shape is not a tuple of sizes")
        if not isinstance(content, bytes | bytearray):
            raise ValueError("an array's content is not bytes")
        if math.prod(shape) * kind.itemsize != len(content):
            raise ValueError("an array's shape does not fit its bytes")
        flat = np.frombuffer(content, kind)
        return flat.reshape(shape, order="F" if self.fortran else "C")


@dataclass
class _StoredType:
    code: str
    state: object = None

    def dtype(self) -> np.dtype[Any] | None:
        """Of a number of 8 to 64 bits; None for anything else."""
        found = re.fullmatch(r"[<>|=]?([iuf][1248])", self.code)
        if found is None or found[1] == "f1":
            return None
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else "<"
        return np.dtype((">" if text(order) == ">" else "<") + found[1])


def unpickle(content: bytes, where: str, what: str = "CIFAR-10 batch") -> object:
    """The object in a pickled batch: plain values, and :class:`StoredArray` for arrays.

    Args:
        content: The pickle.
        where: Name of the file, at the beginning of error messages.
        what: What it should be, for these.

    Raises:
        UserError: The pickle is damaged, or asks for anything that no batch needs.
    """
    try:
        return _BatchUnpickler(content, where, what).load()
    except UserError:
        raise
    except Exception as error:  # damaged pickles raise nearly every type there is
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{where}: not a whole pickle of a {what} ({reason})") from error


def text(item: object) -> str:
    """A text that Python 2 wrote as bytes. Raises ValueError where it is neither."""
    if isinstance(item, bytes):
        return item.decode("utf-8", "replace")
    if isinstance(item, str):
        return item
    raise ValueError(f"{type(item).__name__} where a text is expected")


class _Opcodes(dict[int, Callable[[Any], None]]):
    """The known opcodes of one reading; counts how many were taken."""

    def __init__(self, known: dict[int, Callable[[Any], None]]) -> None:
        super().__init__(known)
        self._left = MAX_OPCODES

    def __getitem__(self, code: int) -> Callable[[Any], None]:
        self._left -= 1
        if self._left < 0:
            raise pickle.UnpicklingError(f"more than {MAX_OPCODES:,} opcodes")
        return super().__getitem__(code)

    def __missing__(self, code: int) -> Callable[[Any], None]:
        raise pickle.UnpicklingError(f"opcode 0x{code:02x}, which no batch needs")


class _BatchUnpickler(pickle._Unpickler):
    """Builds plain values and :class:`StoredArray`; any other global ends in a UserError."""

    stack: list[Any]
    read: Callable[[int], bytes]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, content: bytes, where: str, what: str) -> None:
        super().__init__(io.BytesIO(content), encoding="bytes")
        self._where, self._what = where, what
        self._encodable = len(content)
        known: dict[int, Callable[[Any], None]] = pickle._Unpickler.dispatch
        codes = {getattr(pickle, name)[0] for names in _OPCODES.values() for name in names.split()}
        own = {
            pickle.BUILD[0]: _BatchUnpickler._build,
            pickle.BYTEARRAY8[0]: _BatchUnpickler._bytearray8,
            pickle.DICT[0]: _BatchUnpickler._dict,
            pickle.SETITEM[0]: _BatchUnpickler._setitem,
            pickle.SETITEMS[0]: _BatchUnpickler._setitems,
        }
        self.dispatch = _Opcodes({code: own.get(code, known[code]) for code in codes})  # type: ignore[misc]
        self._allowed = self._stand_ins()

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for an allowed global; called by the unpickler."""
        asked = f"{module}.{name}"
        if asked not in self._allowed:
            raise UserError(
                f"{self._where}: the pickle asks for {asked[:100]}, which no {self._what} needs; "
                "nothing was run; get the file from a source you trust"
            )
        return self._allowed[asked]

    def _stand_ins(self) -> dict[str, object]:
        # Made for one reading, so that a pickle can alter nothing that outlives it.
        def dtype(code: object, *_rest: object) -> _StoredType:
            return _StoredType(text(code))

        def empty(_kind: object, _shape: object, _code: object) -> StoredArray:
            return StoredArray()  # shape, type and bytes follow as the array's state

        def from_buffer(content: object, kind: object, shape: object, order: object) -> StoredArray:
            return StoredArray(shape, kind, text(order) == "F", content)

        def encode(string: str, _encoding: object) -> bytes:
            self._encodable -= len(string)  # each text once: shared ones are in the memo
            if self._encodable < 0:
                raise pickle.UnpicklingError("more bytes than the file holds")
            return string.encode("latin1")  # how protocol 2 stores bytes

        found: dict[str, object] = {
            "numpy.ndarray": "the array type, which only `empty` is given",
            "numpy.dtype": dtype,
            "_codecs.encode": encode,
        }
        for core in ("numpy.core", "numpy._core"):  # the name before and since numpy 2
            found[f"{core}.multiarray._reconstruct"] = empty
            found[f"{core}.numeric._frombuffer"] = from_buffer
        return found

    # ---- opcodes that the library would carry out with less care

    def _build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, StoredArray) and isinstance(state, tuple) and len(state) == 5:
            _, target.shape, target.kind, target.fortran, target.content = state
        elif isinstance(target, _StoredType):
            target.state = state
        else:
            raise pickle.UnpicklingError("a state for something that has none")

    def _bytearray8(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(size)))  # the library allocates what is declared

    def _dict(self) -> None:
        items = self.pop_mark()  # changes what `append` appends to
        self.append(_pairs(items))

    def _setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update([key, value])

    def _setitems(self) -> None:
        self._update(self.pop_mark())

    def _update(self, items: list[object]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise pickle.UnpicklingError("an entry for something that is no dictionary")
        target.update(_pairs(items))


def _pairs(items: list[object]) -> dict[str | bytes, object]:
    keys, values = items[::2], items[1::2]
    if not all(isinstance(key, str | bytes) for key in keys):
        raise pickle.UnpicklingError("a key of a dictionary is no text")
    return dict(zip(keys, values, strict=True))  # type: ignore[arg-type]
