"""What the kernel says of a processor, and which of them have bfloat16."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.system import processor as module

INTEL = "model name : Intel(R) Xeon(R) Processor\nflags : fpu avx2 avx512f avx512_bf16 amx_bf16\n"
ZEN_4 = "model name : AMD EPYC\nflags : fpu avx2 avx512f avx512_bf16\n"
ZEN_3 = "model name\t: AMD EPYC\nflags\t\t: fpu avx avx2 sse4_2\n"
SKYLAKE = "model name : Intel(R) Xeon(R) Gold\nflags : avx2 avx512f avx512bw\n"


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    for cached in (module.processor, module._fields):
        cached.cache_clear()
    yield
    for cached in (module.processor, module._fields):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("text", "name", "bfloat16"),
    [
        (INTEL, "Intel(R) Xeon(R) Processor (avx2, avx512f, avx512_bf16, amx_bf16)", True),
        (2 * ZEN_4, "AMD EPYC (avx2, avx512f, avx512_bf16)", True),
        (2 * ZEN_3, "AMD EPYC (avx2)", False),
        (SKYLAKE, "Intel(R) Xeon(R) Gold (avx2, avx512f)", False),
        ("model name : old\nflags : sse\n", "old (no AVX2)", False),
        (
            "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0c\n",
            f"{platform.machine()} 0x41 0xd0c",
            False,
        ),
    ],
)
def test_a_processor_is_named_with_what_it_computes_in(
    text: str, name: str, bfloat16: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "_INFO", path)
    assert module.processor() == name
    assert module.has_bfloat16() is bfloat16


def test_a_processor_that_says_nothing_has_no_bfloat16(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_INFO", tmp_path / "absent")
    assert module.processor()
    assert not module.has_bfloat16()
