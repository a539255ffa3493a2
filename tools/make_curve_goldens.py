"""Writes tests/parity/golden/curve_*.json: 50 optimizer steps of torch on a tiny checkpoint of tests/parity.

    python tools/make_curve_goldens.py

A step has two microbatches of packed documents. Loss: sum of cross entropy / trained labels of the whole step. Gradients are clipped
to a norm as torch does (scale = clip / (norm + 1e-6) where that is below 1). Learning rate of step n (n steps completed before it):
init + (max - init) n / warmup for n <= warmup, then min + (max - min) (1 + cos(pi (n - warmup) / (decay - warmup))) / 2.
Weights, states and arithmetic are float64; the run in float32 is made too, and its distance printed.
"""

import contextlib
import json
import math

import numpy
import torch
import torch.nn.functional as F

import lora_oracle as lora
import parity_oracle as oracle
from parity_cases import VOCAB

STEPS, MICROBATCHES = 50, 2
SCHEDULE = {"lr_decay_style": "cosine", "lr_warmup_steps": 5, "lr_decay_steps": 50}

CURVES = {
    "curve_adamw": dict(base="llama", clip=1.0, optimizer=dict(name="AdamW", lr=5e-3, betas=[0.9, 0.95], eps=1e-8, weight_decay=0.1)),
    "curve_adam": dict(base="qwen3", clip=1.0, optimizer=dict(name="Adam", lr=5e-3, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01)),
    "curve_gpt2": dict(base="gpt2", clip=2.5, optimizer=dict(name="AdamW", lr=3e-3, betas=[0.9, 0.999], eps=1e-6, weight_decay=0.0)),
    "curve_lora": dict(base="llama", adapter="lora_llama_rslora", clip=7.0,
                       optimizer=dict(name="AdamW", lr=3e-3, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01)),
    "curve_dora": dict(base="llama", adapter="lora_llama_dora", clip=2.6,
                       optimizer=dict(name="AdamW", lr=3e-3, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01)),
}


def make_steps(seed):
    """Counting upwards by a stride, with the stride's first steps as prompt: something that can be learnt."""
    numbers = numpy.random.default_rng(seed)
    steps = []
    for _ in range(STEPS):
        microbatches = []
        for _ in range(MICROBATCHES):
            documents = []
            for length in numbers.integers(2, 24, int(numbers.integers(1, 4))).tolist():
                start, stride = int(numbers.integers(0, VOCAB)), int(numbers.integers(1, 5))
                row = [(start + stride * i) % VOCAB for i in range(length + 1)]
                labels = row[1:]
                labels[:min(2, length - 1)] = [oracle.IGNORED] * min(2, length - 1)
                documents.append({"input_ids": row[:-1], "labels": labels})
            microbatches.append(documents)
        steps.append(microbatches)
    return steps


def learning_rate(done, lr):
    warmup, decay, initial, lowest = SCHEDULE["lr_warmup_steps"], SCHEDULE["lr_decay_steps"], 0.1 * lr, 0.01 * lr
    if done <= warmup:
        return initial + (lr - initial) * done / warmup
    return lowest + (lr - lowest) * 0.5 * (math.cos(math.pi * (done - warmup) / (decay - warmup)) + 1)


def train(model, settings, clip, steps, dtype):
    model = model.to(dtype)
    settings = dict(settings)
    lr, name = settings["lr"], settings.pop("name")
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = getattr(torch.optim, name)(parameters, **settings)
    losses, norms = [], []
    with oracle.DoubleEverywhere() if dtype == torch.float64 else contextlib.nullcontext():
        for done, microbatches in enumerate(steps):
            trained = sum(label != oracle.IGNORED for m in microbatches for d in m for label in d["labels"])
            total = 0.0
            for document in (d for m in microbatches for d in m):
                logits = model(input_ids=torch.tensor([document["input_ids"]]), use_cache=False).logits[0]
                loss = F.cross_entropy(logits, torch.tensor(document["labels"]), ignore_index=oracle.IGNORED, reduction="sum") / trained
                loss.backward()
                total += loss.item()
            norm = torch.nn.utils.clip_grad_norm_(parameters, clip)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(done, lr)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(total)
            norms.append(norm.item())
    return losses, norms


def load(spec):
    if "adapter" in spec:
        return lora.load_adapter(oracle.GOLDEN / spec["adapter"] / "adapter", spec["base"])
    return oracle.load_model(oracle.GOLDEN / spec["base"])


def main():
    steps = make_steps(5)
    (oracle.GOLDEN / "curve_batches.json").write_text(json.dumps({"steps": steps}, separators=(",", ":")) + "\n")
    for curve, spec in CURVES.items():
        losses, norms = train(load(spec), spec["optimizer"], spec["clip"], steps, torch.float64)
        single, _ = train(load(spec), spec["optimizer"], spec["clip"], steps, torch.float32)
        lrs = [learning_rate(n, spec["optimizer"]["lr"]) for n in range(STEPS)]
        record = {k: v for k, v in spec.items() if k != "clip"} | {"clip_grad_norm": spec["clip"], "lr_scheduler": SCHEDULE, "lr": lrs, "loss": losses, "grad_norm": norms}
        (oracle.GOLDEN / f"{curve}.json").write_text(json.dumps(record) + "\n")
        off = max(abs(a - b) / b for a, b in zip(single, losses))
        clipped = sum(n > spec["clip"] for n in norms)
        print(f"{curve:12s} loss {losses[0]:.4f} -> {losses[-1]:.4f}, {clipped} of {STEPS} steps clipped, torch's own fp32 is off by {off:.1e} (relative)")


if __name__ == "__main__":
    main()
