"""Writes tests/parity/golden/lora_BASE_VARIANT: adapters as PEFT saves them, and what PEFT computes with them on BASE's checkpoint.

    python tools/make_lora_goldens.py

adapter/: adapter_config.json and adapter_model.safetensors. case.json names the base case, whose checkpoint and batch are used.
golden.safetensors: logits, loss, logprobs, and the gradient of every adapter tensor under its name in adapter_model.safetensors;
float32 rounded from float64. The adapter merged into the weights gives the same logits, which is checked here.
"""

import json
import shutil

import safetensors.torch
import torch

import lora_oracle as lora
import parity_oracle as oracle


def make(base, variant, seed):
    case = lora.adapter_case(base, variant)
    folder = oracle.GOLDEN / case
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lora.save_adapter(lora.make_adapter(base, variant, seed), folder / "adapter", base)
    oracle.write_json(folder / "case.json", {"base": base})
    model = lora.load_adapter(folder / "adapter", base)
    documents = json.loads((oracle.GOLDEN / base / "batch.json").read_text())["documents"]
    golden, worst = oracle.reference(model, documents)
    golden = {lora.saved_name(n): t for n, t in golden.items()}
    saved = safetensors.torch.load_file(folder / "adapter" / "adapter_model.safetensors")
    assert golden.keys() - {"logits", "loss", "logprobs"} == saved.keys(), golden.keys() ^ saved.keys()
    whole = lora.merged(model).double()
    with oracle.DoubleEverywhere(), torch.no_grad():
        merged_logits = oracle.run_documents(whole, documents, backward=False)[0]
    assert oracle.error_in_bounds(merged_logits, golden["logits"]) < 1
    plain = safetensors.torch.load_file(oracle.GOLDEN / base / "golden.safetensors")["logits"]
    assert (plain - golden["logits"]).abs().max() > 0.1, "the adapter changes nothing"
    safetensors.torch.save_file(golden, folder / "golden.safetensors")
    oracle.report(case, worst, folder)


def main():
    seed = 100
    for base in lora.TARGETS:
        for variant in lora.VARIANTS:
            seed += 1
            make(base, variant, seed)


if __name__ == "__main__":
    main()
