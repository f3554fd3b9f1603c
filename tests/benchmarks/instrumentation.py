"""Starting, resetting and dumping callgrind's counts from inside the process that it runs.

A client request of valgrind is a sequence of instructions without effect on a real processor (`valgrind.h`, x86-64).
Counting begins after imports and warm-up, so nothing else is counted, and the process runs five times as fast until
then.
"""

from __future__ import annotations

import ctypes
import mmap
import platform

RUNNING_ON_VALGRIND = 0x1001
DUMP, ZERO, START = (ord("C") << 24 | ord("T") << 16 | number for number in (0, 1, 4))
CODE = bytes.fromhex(
    "4889f8"  # mov %rdi, %rax: address of the request
    "31d2"  # xor %edx, %edx: result outside valgrind
    "48c1c703 48c1c70d 48c1c73d 48c1c733"  # rol $3, $13, $61, $51, %rdi
    "4887db"  # xchg %rbx, %rbx
    "4889d0 c3"  # mov %rdx, %rax; ret
)


class Callgrind:
    """The requests; without effect where the process does not run under valgrind."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self._page.write(CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._page))
        self._function = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(address)
        self._arguments = (ctypes.c_uint64 * 6)()

    def request(self, code: int) -> int:
        self._arguments[0] = code
        return self._function(ctypes.addressof(self._arguments))

    @property
    def running(self) -> bool:
        return self.request(RUNNING_ON_VALGRIND) > 0

    def start(self) -> None:
        """Counts from now on."""
        self.request(START)

    def zero(self) -> None:
        self.request(ZERO)

    def dump(self) -> None:
        """Writes the counts since the last reset to the next numbered file, and resets them."""
        self.request(DUMP)


def supported() -> bool:
    return platform.system() == "Linux" and platform.machine() == "x86_64"
