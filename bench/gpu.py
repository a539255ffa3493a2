#!/usr/bin/env python3
"""Training speed on one GPU, ours and transformers + PEFT + liger, turn by turn in one run.

    python3 bench/gpu.py [--rows lora_8b,full_1b,...] [--repeats 3] [--out bench/results/gpu_h200.json]

Needs build/bin/automodel and build/lib (cmake --preset cuda), and for the peer's rows this Python with torch 2.11.0, transformers
5.17.0, peft 0.21.0 and liger-kernel 0.8.5. Both sides: random weights, mock tokens, bf16, AdamW, no clipping, no recomputation but where
a row says so. Each row is run --repeats times, its peer after each; the report holds every run with the clocks, the power and the
temperature seen while it ran (medians of what nvidia-smi told twice a second above half of the highest power), and of each row the
least, the median and the greatest tokens/s.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AUTOMODEL_BINARY", str(ROOT / "build/bin/automodel"))
FEW = ["--step_scheduler.max_steps", "15"]
RECOMPUTE = "--distributed.activation_checkpointing"
# name: recipe in configs/benchmark, its arguments, the peer's work
ROWS = {
    "lora_8b": ("llama3_8b_lora", [], "lora"),
    "full_1b": ("llama3_2_1b_full", [], "full"),
    "full_8b": ("llama3_8b_full", FEW, None),
    "lora_qwen3_8b": ("qwen3_8b_lora", FEW, None),
    "lora_mistral_7b": ("mistral_7b_lora", FEW, None),
    "lora_gemma3_12b": ("gemma3_12b_lora", FEW, None),
    "lora_8b_selective": ("llama3_8b_lora", [RECOMPUTE, "selective", *FEW], None),
    "lora_8b_recomputed": ("llama3_8b_lora", [RECOMPUTE, "full", *FEW], None),
    "lora_8b_dropout": ("llama3_8b_lora", ["--peft.dropout", "0.1", *FEW], None),
    "lora_8b_dropout_before": ("llama3_8b_lora", ["--peft.dropout", "0.1", "--peft.dropout_position", "pre", *FEW], None),
    "lora_8b_dora": ("llama3_8b_lora", ["--peft.use_dora", "true", *FEW], None),
    "lora_8b_rank_64": ("llama3_8b_lora", ["--peft.dim", "64", *FEW], None),
}


def told(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


class Watch:
    """What nvidia-smi sees while a program runs."""

    def __enter__(self):
        self.process = subprocess.Popen(["nvidia-smi", "--query-gpu=clocks.sm,power.draw,temperature.gpu", "--format=csv,noheader,nounits", "-lms", "500"],
                                        stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        seen = [tuple(map(float, line.split(","))) for line in self.process.communicate()[0].splitlines() if line.count(",") == 2]
        busy = [row for row in seen if row[1] > max(power for _, power, _ in seen) / 2] if seen else []
        self.seen = dict(zip(("sm_mhz", "power_w", "celsius"), map(statistics.median, zip(*busy))))


def ours(row):
    recipe, more, _ = ROWS[row]
    command = [PROGRAM, "benchmark", "llm", "-c", f"configs/benchmark/{recipe}.yaml", "--json", *more]
    with Watch() as watch:
        run = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    result = json.loads(run.stdout)
    print(f"ours {row}: {result['tokens_per_s']:.0f} tokens/s, {result['tflops']:.1f} TFLOP/s, {result['peak_memory_bytes'] / 2**30:.1f} GiB, "
          f"first step after {result['start_to_first_step_s']:.2f} s; {watch.seen}", flush=True)
    return {"row": row, "side": "ours", "tokens_per_s": result["tokens_per_s"], "seen": watch.seen, "result": result,
            "command": " ".join(["build/bin/automodel", *command[1:]])}


def peer(row):
    with Watch() as watch:
        run = subprocess.run([sys.executable, "bench/peers/gpu/liger.py"], cwd=ROOT, env=dict(os.environ, PEER_ONLY=ROWS[row][2]), check=True,
                             stdout=subprocess.PIPE, text=True)
    found = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    if not found:
        sys.exit(f"bench/gpu.py: the peer of {row} printed no result")
    for result in found:
        print(f"peer {row}, {result['peer']}: {result['tok_s']:.0f} tokens/s, {result['peak_gib']:.1f} GiB, first step after "
              f"{result['start_to_first_step_s']:.2f} s; {watch.seen}", flush=True)
    return [{"row": row, "side": result["peer"], "tokens_per_s": result["tok_s"], "seen": watch.seen, "result": result,
             "command": f"PEER_ONLY={ROWS[row][2]} python3 bench/peers/gpu/liger.py"} for result in found]


def summary(runs):
    table = []
    for row, side in dict.fromkeys((run["row"], run["side"]) for run in runs):
        rates = [run["tokens_per_s"] for run in runs if (run["row"], run["side"]) == (row, side)]
        table.append({"row": row, "side": side, "runs": len(rates), "least": min(rates), "median": statistics.median(rates), "greatest": max(rates)})
        print(f"{row:20} {side:24} {min(rates):9.0f} {statistics.median(rates):9.0f} {max(rates):9.0f}")
    return table


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="which, of " + ", ".join(ROWS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    rows = arguments.rows.split(",")
    if unknown := [row for row in rows if row not in ROWS]:
        parser.error(f"no row {unknown[0]}: there are {', '.join(ROWS)}")
    runs = []
    for row in rows:
        for _ in range(arguments.repeats):
            runs.append(ours(row))
            if ROWS[row][2]:
                runs += peer(row)
    report = {"gpu": told("nvidia-smi", "--query-gpu=name,power.limit,driver_version", "--format=csv,noheader"),
              "commit": os.environ.get("AUTOMODEL_COMMIT") or told("git", "rev-parse", "HEAD"), "command": " ".join(["python3", *sys.argv]),
              "summary": summary(runs), "runs": runs}
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
