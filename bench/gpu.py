#!/usr/bin/env python3
"""Training speed on one GPU, ours and transformers + PEFT + liger, turn by turn in one run.

    python3 bench/gpu.py [--repeats 3] [--out bench/results/gpu_h200.json]

Needs build/bin/automodel and build/lib (cmake --preset cuda), and for the peer's rows this Python with torch 2.11.0, transformers
5.17.0, peft 0.21.0 and liger-kernel 0.8.5. Both sides: random weights, mock tokens, bf16, AdamW, no clipping, no recomputation.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AUTOMODEL_BINARY", str(ROOT / "build/bin/automodel"))
WITH_PEER = {"llama3_8b_lora": "lora", "llama3_2_1b_full": "full"}
ALONE = ["llama3_8b_full", "qwen3_8b_lora", "mistral_7b_lora", "gemma3_12b_lora"]


def ours(name, *more):
    run = subprocess.run([PROGRAM, "benchmark", "llm", "-c", f"configs/benchmark/{name}.yaml", "--json", *more], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    result = json.loads(run.stdout) | {"work": name, "arguments": list(more)}
    print(f"ours {name} {' '.join(more)}: {result['tokens_per_s']:.0f} tokens/s, {result['tflops']:.1f} TFLOP/s, "
          f"{result['peak_memory_bytes'] / 2**30:.1f} GiB, first step after {result['start_to_first_step_s']:.2f} s", flush=True)
    return result


def peer(variant):
    run = subprocess.run([sys.executable, "bench/peers/gpu/liger.py"], cwd=ROOT, env=dict(os.environ, PEER_ONLY=variant), stdout=subprocess.PIPE, text=True)
    found = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    for result in found:
        print(f"peer {result['peer']} {result['work']}: {result['tok_s']:.0f} tokens/s, {result['peak_gib']:.1f} GiB, first step after {result['start_to_first_step_s']:.2f} s", flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    gpu = subprocess.run(["nvidia-smi", "--query-gpu=name,power.limit,driver_version", "--format=csv,noheader"], capture_output=True, text=True).stdout.strip()
    report = {"gpu": gpu, "ours": [], "peer": []}
    for name, variant in WITH_PEER.items():
        report["ours"].append(ours(name))
        report["peer"] += peer(variant)
        report["ours"] += [ours(name) for _ in range(arguments.repeats - 1)]
    report["ours"] += [ours(name, "--step_scheduler.max_steps", "15") for name in ALONE]
    report["ours"] += [ours("llama3_8b_lora", "--distributed.activation_checkpointing", choice, "--step_scheduler.max_steps", "12")
                       for choice in ("selective", "full")]
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
