#!/usr/bin/env python3
"""Writes automodel/optim/testdata/{adam,gradient,schedule,scaler}_goldens.json: torch.optim's weights and states step by step, torch's
gradient clipping, its GradScaler, and learning-rate schedules computed from the formulas in plain Python.

Run with the oracle environment: PYTHON tools/make_optim_goldens.py
"""
import json
import math
import pathlib

import torch

OUT = pathlib.Path(__file__).resolve().parent.parent / "automodel/optim/testdata"
SHAPES = {"layers.0.q.weight": (4, 6), "layers.0.k.weight": (2, 6), "layers.0.norm.weight": (5,), "head.weight": (3, 7)}
STEPS = 60
SHOWN = (1, 10, 60)


def noise(salt, shape):
    """Exact in any language: a linear congruential number mapped to [-1, 1), a multiple of 2^-30, rounded to fp32."""
    count = math.prod(shape)
    values = [((1103515245 * (i + 7919 * salt) + 12345) % 2**31) / 2**30 - 1 for i in range(count)]
    return torch.tensor(values, dtype=torch.float64).to(torch.float32).reshape(shape)


def weight(index, shape):
    return noise(1000 + index, shape)


def grad(step, index, shape):  # of size 1, with steps in which it is a thousand times smaller
    return noise(10 * step + index, shape) * (0.001 if step % 7 == 3 else 1.0)


def rates(step):
    return 1e-2 * (1 - step / 100), 0.1 + step / 200


def numbers(tensor):
    return [float(f"{x:.9g}") for x in tensor.detach().double().flatten().tolist()]  # nine digits hold any fp32


def run(case):
    dtype = getattr(torch, case["weights"])
    names = list(SHAPES)
    work = torch.float32 if case["master"] else dtype
    start = [weight(i, SHAPES[n]).to(dtype).to(work) for i, n in enumerate(names)]
    params = [torch.nn.Parameter(w.clone()) for w in start]
    groups = []
    for name, p in zip(names, params):
        mult = next((o for o in case["overrides"] if o["pattern"] in name), {"lr_mult": 1.0, "wd_mult": 1.0})
        groups.append({"params": [p], "mult": mult})
    make = torch.optim.AdamW if case["decoupled"] else torch.optim.Adam
    fused = case["weights"] != "float32" and not case["master"]
    optimizer = make(groups, betas=tuple(case["betas"]), eps=case["eps"], amsgrad=case["amsgrad"], maximize=case["maximize"], fused=fused)
    shown = {}
    for step in range(STEPS):
        lr, wd = rates(step)
        for group in optimizer.param_groups:
            group["lr"], group["weight_decay"] = lr * group["mult"]["lr_mult"], wd * group["mult"]["wd_mult"]
        for i, (name, p) in enumerate(zip(names, params)):
            # the third parameter has no gradient in some steps: torch then skips it and its count
            p.grad = None if i == 2 and step % 5 == 4 else grad(step, i, SHAPES[name]).to(work)
        optimizer.step()
        if step + 1 in SHOWN:
            shown[step + 1] = {
                name: {
                    "weight": numbers(p.to(dtype)),
                    "exp_avg": numbers(optimizer.state[p]["exp_avg"]),
                    "exp_avg_sq": numbers(optimizer.state[p]["exp_avg_sq"]),
                    "step": float(optimizer.state[p]["step"]),
                    **({"master": numbers(p)} if case["master"] else {}),
                    **({"max_exp_avg_sq": numbers(optimizer.state[p]["max_exp_avg_sq"])} if case["amsgrad"] else {}),
                }
                for name, p in zip(names, params)
            }
    return {**case, "shown": shown}


def adam_cases():
    base = dict(decoupled=True, weights="float32", master=False, betas=[0.9, 0.999], eps=1e-8, amsgrad=False, maximize=False, overrides=[])
    overrides = [dict(pattern="norm", lr_mult=0.5, wd_mult=0.0), dict(pattern="layers.0.k", lr_mult=2.0, wd_mult=0.25)]
    yield dict(base, name="adamw")
    yield dict(base, name="adam", decoupled=False)
    yield dict(base, name="adamw_other_betas", betas=[0.8, 0.95], eps=1e-5)
    yield dict(base, name="adamw_amsgrad", amsgrad=True)
    yield dict(base, name="adam_amsgrad", amsgrad=True, decoupled=False)
    yield dict(base, name="adamw_maximize", maximize=True)
    yield dict(base, name="adam_maximize", maximize=True, decoupled=False)
    yield dict(base, name="adamw_overrides", overrides=overrides)
    yield dict(base, name="adamw_bf16_master", weights="bfloat16", master=True)
    yield dict(base, name="adam_fp16_master", weights="float16", master=True, decoupled=False)
    yield dict(base, name="adamw_bf16_all", weights="bfloat16")
    yield dict(base, name="adam_bf16_all", weights="bfloat16", decoupled=False)


def gradient_goldens():
    cases = []
    for scale in (1e-3, 1.0, 3e5, 1e18):
        params = [torch.nn.Parameter(weight(i, s)) for i, s in enumerate(SHAPES.values())]
        for i, p in enumerate(params):
            p.grad = grad(5, i, p.shape) * scale
        exact = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in params))
        torch.nn.utils.clip_grad_norm_(params, 1.0) if scale < 1e18 else None
        cases.append({"scale": scale, "norm": exact, "clipped": [numbers(p.grad) for p in params] if scale < 1e18 else None})
    return cases


def learning_rate(c, n):
    """Straight from the description: warm-up, then the style, then the floor."""
    lo, hi = c["min_lr"], c["max_lr"]
    warm, total = c["lr_warmup_steps"], c["lr_decay_steps"]
    if warm and n <= warm:
        return c["init_lr"] + (hi - c["init_lr"]) * n / warm
    style = c["lr_decay_style"]
    if style == "constant":
        return hi
    if n > total:
        return lo
    if style == "inverse-square-root":
        return max(lo, hi * math.sqrt(max(1, warm)) / math.sqrt(max(1, n)))
    if style == "WSD":
        tail = c["wsd_decay_steps"]
        if n <= total - tail:
            return hi
        x = (n - (total - tail)) / tail
        share = {"linear": 1 - x, "cosine": (1 + math.cos(math.pi * x)) / 2, "exponential": 2 * 0.5**x - 1, "minus_sqrt": 1 - x**0.5}
        return lo + (hi - lo) * share[c["lr_wsd_decay_style"]]
    x = (n - warm) / (total - warm)
    return lo + (hi - lo) * {"linear": 1 - x, "cosine": (1 + math.cos(math.pi * x)) / 2}[style]


def weight_decay(c, n):
    a, b, steps = c["start_wd"], c["end_wd"], c["wd_incr_steps"]
    if n > steps or c["wd_incr_style"] == "constant":
        return b
    x = n / steps
    return a + (b - a) * (x if c["wd_incr_style"] == "linear" else (1 - math.cos(math.pi * x)) / 2)


def schedule_cases():
    total, lr, wd = 100, 1e-5, 0.01
    derived = dict(init_lr=0.1 * lr, max_lr=lr, min_lr=0.01 * lr, lr_warmup_steps=10, lr_decay_steps=total, lr_decay_style="cosine",
                   start_wd=wd, end_wd=wd, wd_incr_steps=total, wd_incr_style="constant")
    yield {}, derived
    for style in ("linear", "constant", "inverse-square-root"):
        given = dict(lr_decay_style=style)
        yield given, {**derived, **given}
    given = dict(lr_decay_style="inverse-square-root", lr_warmup_steps=0, min_lr=2e-6)
    yield given, {**derived, **given}
    for tail in ("linear", "cosine", "exponential", "minus_sqrt"):
        given = dict(lr_decay_style="WSD", lr_wsd_decay_style=tail, wsd_decay_steps=30, init_lr=0.0)
        yield given, {**derived, **given}
    given = dict(max_lr=3e-4, min_lr=0.0, init_lr=1e-7, lr_warmup_steps=7, lr_decay_steps=55)
    yield given, {**derived, **given}
    for style in ("linear", "cosine"):
        given = dict(start_wd=0.02, end_wd=0.2, wd_incr_steps=40, wd_incr_style=style, lr_warmup_steps=0)
        yield given, {**derived, **given}


def scaler_goldens():
    """The scale before each step, of torch.amp.GradScaler with gradients that overflow in some of them."""
    cases = []
    for init, growth, backoff, interval, overflow in (
        (65536.0, 2.0, 0.5, 3, [0, 5, 6, 11]),
        (1024.0, 1.5, 0.25, 2, [3, 4, 5, 9, 10]),
        (3.0e38, 4.0, 0.5, 1, [4]),
    ):
        parameter = torch.nn.Parameter(torch.ones(3))
        optimizer = torch.optim.SGD([parameter], lr=0.0)
        scaler = torch.amp.GradScaler("cpu", init_scale=init, growth_factor=growth, backoff_factor=backoff, growth_interval=interval)
        scales = []
        for step in range(16):
            scales.append(scaler.get_scale())
            scaler.scale(torch.ones(()))  # makes its tensors
            parameter.grad = torch.full((3,), math.inf if step in overflow else 1.0)
            scaler.step(optimizer)
            scaler.update()
        cases.append(dict(init_scale=init, growth_factor=growth, backoff_factor=backoff, growth_interval=interval, overflow=overflow, scales=scales))
    return cases


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")
    print(OUT / name, (OUT / name).stat().st_size, "bytes")


def main():
    torch.set_num_threads(1)
    write("adam_goldens.json", {"torch": torch.__version__, "shapes": {k: list(v) for k, v in SHAPES.items()}, "cases": [run(c) for c in adam_cases()]})
    write("gradient_goldens.json", gradient_goldens())
    write("scaler_goldens.json", scaler_goldens())
    write("schedule_goldens.json", [
        {"given": given, "lr": [learning_rate(c, n) for n in range(121)], "wd": [weight_decay(c, n) for n in range(121)]}
        for given, c in schedule_cases()])


if __name__ == "__main__":
    main()
