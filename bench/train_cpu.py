#!/usr/bin/env python3
"""CPU training speed and memory, ours and transformers', turn by turn in one run.

    python3 bench/train_cpu.py [--repeats 3] [--rows one,sixteen,chats] [--out bench/results/train_cpu.json]

Needs the built program (build/bin/automodel, or AUTOMODEL_BINARY) and a Python with transformers in AUTOMODEL_ORACLES
(tools/setup --oracles; tools/setup --print-oracles names it). Both sides: 2 threads, fp32, fused AdamW, no clipping, the
same shapes; the chats are the same conversations, padded by the peer to the longest of 16, laid end to end by us.
tokens/s are real tokens over the median step. Memory is the peak resident size less what the process had before the model.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AUTOMODEL_BINARY", str(ROOT / "build/bin/automodel"))
WARM_STEPS = 2


def peak_rss_mib(command, environment):
    """Runs the command; its peak resident size from /proc, read while it runs."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peak = [0]

    def watch():
        while process.poll() is None:
            try:
                for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        peak[0] = max(peak[0], int(line.split()[1]))
            except OSError:
                return
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    watcher.join()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{err}")
    return peak[0] / 1024, out


def ours(row, steps, environment):
    config = f"bench/cpu/{row}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        before, _ = peak_rss_mib([PROGRAM, "check", config, "--checkpoint.checkpoint_dir", folder], environment)
        began = time.perf_counter()
        peak, _ = peak_rss_mib([PROGRAM, config, "--checkpoint.checkpoint_dir", folder, "--step_scheduler.max_steps", str(steps + WARM_STEPS)], environment)
        seconds = time.perf_counter() - began
        lines = [json.loads(line) for line in (pathlib.Path(folder) / "training.jsonl").read_text().splitlines()][WARM_STEPS:]
    return {"tokens_per_s": statistics.median(line["tps"] for line in lines), "peak_rss_mib": peak - before, "whole_s": seconds}


def peer(row, steps, environment, tokens):
    command = [os.environ["AUTOMODEL_ORACLES"], "bench/peers/train_cpu.py", "--row", row, "--steps", str(steps), "--warmup", str(WARM_STEPS)]
    if row == "chats":
        command += ["--tokens", tokens]
    began = time.perf_counter()
    _, out = peak_rss_mib(command, environment)
    result = json.loads(out.splitlines()[-1])
    return {key: result[key] for key in ("tokens_per_s", "peak_rss_mib")} | {"whole_s": time.perf_counter() - began}


CHATS = """
import json, sys, transformers
tokenizer = transformers.AutoTokenizer.from_pretrained("assets/quickstart/model")
for line in open("assets/quickstart/data/train.jsonl").read().splitlines()[:int(sys.argv[1])]:
    out = tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=True, return_assistant_tokens_mask=True)
    ids, mask = out["input_ids"], out["assistant_masks"]
    print(json.dumps({"input_ids": ids[:-1], "labels": [i if m else -100 for i, m in zip(ids[1:], mask[1:])]}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rows", default="one,sixteen,chats")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    environment = dict(os.environ, OMP_NUM_THREADS="2", MKL_NUM_THREADS="2")
    report = {"commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip(),
              "cpu": next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), ""), "rows": {}}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as tokens:
        documents = 16 * (arguments.steps + WARM_STEPS)
        subprocess.run([os.environ["AUTOMODEL_ORACLES"], "-c", CHATS, str(documents)], cwd=ROOT, check=True, stdout=tokens)
        for row in arguments.rows.split(","):
            runs = {"ours": [], "peer": []}
            for _ in range(arguments.repeats):
                runs["ours"].append(ours(row, arguments.steps, environment))
                runs["peer"].append(peer(row, arguments.steps, environment, tokens.name))
            summary = {side: {key: [round(f(run[key] for run in list_), 1) for f in (min, statistics.median, max)] for key in list_[0]} for side, list_ in runs.items()}
            summary["speed_ratio"] = round(summary["ours"]["tokens_per_s"][1] / summary["peer"]["tokens_per_s"][1], 2)
            summary["memory_ratio"] = round(summary["ours"]["peak_rss_mib"][1] / summary["peer"]["peak_rss_mib"][1], 2)
            report["rows"][row] = summary
            print(f"{row:8} ours {summary['ours']['tokens_per_s'][1]:8.0f} tokens/s {summary['ours']['peak_rss_mib'][1]:6.0f} MiB | "
                  f"peer {summary['peer']['tokens_per_s'][1]:8.0f} tokens/s {summary['peer']['peak_rss_mib'][1]:6.0f} MiB | "
                  f"speed {summary['speed_ratio']}x, memory {summary['memory_ratio']}x", flush=True)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
