import pytest
import torch

from rephrase.models import precision


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_bf16", "bfloat16"),
        ("flags : fpu amx_bf16 amx_tile", "bfloat16"),
        ("Features : fp asimd bf16", "bfloat16"),
        ("flags : fpu avx512f avx512_vnni", "float32"),
        ("model name : a bf16 in the name\nflags : fpu avx2", "float32"),
        ("", "float32"),
    ],
)
def test_bfloat16_where_the_processor_has_units_for_it(lines, expected, monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text(lines)
    monkeypatch.setattr(precision, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.fast_precision.__wrapped__() == expected
