#!/usr/bin/env python3
"""Time a generated token after 100 and after 1,000 tokens: with a cache they are alike.

    python3 bench/generate_cpu.py [--repeats 5] [--out bench/results/generate_cpu.json]

A Qwen3-shaped model of 16M parameters with random weights (a run of one step writes it), greedy, fp32, 2 threads. The time of
a token is that of 128 further ones: `automodel generate` with 1 and with 129 new tokens after the same prompt.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AUTOMODEL_BINARY", str(ROOT / "build/bin/automodel"))
FURTHER = 128


def seconds(model, prompt, new_tokens):
    """Of a whole call, and the prompt's tokens."""
    began = time.perf_counter()
    out = subprocess.run([PROGRAM, "generate", "--model", model, "--prompt", prompt, "--max-new-tokens", str(new_tokens), "--json"],
                         cwd=ROOT, env=dict(os.environ, OMP_NUM_THREADS="2"), check=True, capture_output=True, text=True)
    took = time.perf_counter() - began
    report = json.loads(out.stdout)
    if len(report["ids"]) != new_tokens:
        raise SystemExit(f"the model stopped after {len(report['ids'])} tokens")
    return took, report["prompt_tokens"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    report = {"commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip(), "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([PROGRAM, "bench/cpu/chats.yaml", "--model.config.vocab_size", "4096", "--step_scheduler.max_steps", "1",
                        "--checkpoint.enabled", "true", "--checkpoint.checkpoint_dir", folder], cwd=ROOT, check=True, capture_output=True)
        for wanted in (100, 1000):
            prompt = " dog" * wanted
            times = []
            for _ in range(arguments.repeats):
                short, tokens = seconds(f"{folder}/LATEST/model", prompt, 1)
                times.append((seconds(f"{folder}/LATEST/model", prompt, 1 + FURTHER)[0] - short) / FURTHER * 1000)
            report["rows"].append({"after_tokens": tokens, "ms_a_token": [round(f(times), 2) for f in (min, statistics.median, max)]})
            print(f"after {tokens} tokens: {statistics.median(times):.2f} ms a token ({min(times):.2f} to {max(times):.2f})", flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
