"""Writes automodel/checkpoint/testdata/library.safetensors with the PyPI library: what our reader must read the same.

Run with a Python that has torch and safetensors:  python tools/make_safetensors_golden.py
Each tensor holds 0, 1, 2, ... in its dtype (see safetensors_test.cpp), so the test needs no second file.
"""
import pathlib

import torch
from safetensors.torch import save_file

DTYPES = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2,
    "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8, "u8": torch.uint8,
    "u16": torch.uint16, "u32": torch.uint32, "u64": torch.uint64,
}  # fmt: skip

tensors = {f"block.{name}.weight": torch.arange(6).reshape(2, 3).to(dtype) for name, dtype in DTYPES.items()}
tensors["flags"] = torch.tensor([True, False, True])
tensors["scalar"] = torch.tensor(2.5)
tensors["empty"] = torch.empty(0, 4)
tensors['odd "name" \u00e9'] = torch.tensor([1.0])
folder = pathlib.Path(__file__).resolve().parent.parent / "automodel/checkpoint/testdata"
save_file(tensors, folder / "library.safetensors", metadata={"format": "pt", "note": "made by safetensors"})
