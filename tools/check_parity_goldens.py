"""Shows that the goldens of tests/parity can fail: moves single weights by 1e-3 and asks that some compared tensor leaves its bound.

    python tools/check_parity_goldens.py [--weights N] [CASE ...]

Of every parameter N random elements (3) are moved, one at a time. Left out is the key part of gpt2's c_attn.bias: a
vector added to every key shifts all scores of a query alike, which softmax does not see, so no result depends on it.
"""

import argparse
import json

import numpy
import safetensors.torch
import torch

import parity_oracle as oracle
from parity_cases import CASES


def blind(name, index, parameter):
    third = parameter.numel() // 3
    return name.endswith("attn.c_attn.bias") and third <= index < 2 * third


def check(case, weights):
    folder = oracle.GOLDEN / case
    documents = json.loads((folder / "batch.json").read_text())["documents"]
    golden = safetensors.torch.load_file(folder / "golden.safetensors")
    model = oracle.load_model(folder).double()
    for module in model.modules():
        if getattr(module, "reorder_and_upcast_attn", False):
            module.reorder_and_upcast_attn = False
    numbers, least = numpy.random.default_rng(3), (float("inf"), "")
    for name, parameter in model.named_parameters():
        assert not ((parameter == 0) | (parameter == 1)).any(), name
        flat = parameter.data.view(-1)
        for index in numbers.choice(flat.numel(), min(weights, flat.numel()), replace=False).tolist():
            if blind(name, index, parameter):
                continue
            kept = flat[index].item()
            flat[index] = kept + 1e-3
            model.zero_grad(set_to_none=True)
            with oracle.DoubleEverywhere():
                logits, _, _ = oracle.run_documents(model, documents)
            flat[index] = kept
            found = {"logits": logits} | {n: p.grad for n, p in model.named_parameters()}
            furthest = max(oracle.error_in_bounds(t, golden[n].double()) for n, t in found.items())
            least = min(least, (furthest, f"{name}[{index}]"))
    verdict = "" if least[0] > 1 else "   NOT SEEN"
    print(f"{case:28s} least seen: {least[0]:8.1f} of the bound ({least[1]}){verdict}", flush=True)
    return least[0] > 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", type=int, default=3)
    parser.add_argument("cases", nargs="*")
    arguments = parser.parse_args()
    seen = [check(case, arguments.weights) for case in arguments.cases or CASES]
    raise SystemExit(0 if all(seen) else 1)


if __name__ == "__main__":
    main()
