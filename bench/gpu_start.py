#!/usr/bin/env python3
"""From the program's start to the first step finished, from a real checkpoint in the page cache; and `finetune` against `benchmark`.

    python3 bench/gpu_start.py [--folder DIR] [--repeats 3] [--out FILE] [--skip start,read_back,speed] [--config CONFIG.json]

Writes a random checkpoint of Llama-3-8B's shape (16 GB in four shards; kept if DIR already holds one), reads it once so that it lies
in the page cache, and fine-tunes adapters on the bundled chats for three steps. Printed as JSON, one line a measurement:
  start      seconds from the start of the process until the first step's line stands in training.jsonl; memory of the process
  read_back  the checkpoint loaded onto the GPU once more and read back: checksums of all tensors against the files (bin/test_gpu)
  speed      tokens/s of `benchmark` and of `finetune` on the same work, turn by turn, and their ratio
Needs build/bin, build/lib and, to write the checkpoint, a Python with torch. CONFIG: another model's, for a try on a small machine.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import tempfile
import time

import lora_on_chats

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AUTOMODEL_BINARY", str(ROOT / "build/bin/automodel"))
GIB = 2**30


def tensors_of(config):
    hidden, inner, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    q, kv = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden]
    for i in range(layers):
        at = f"model.layers.{i}."
        for name, rows, columns in (("self_attn.q_proj", q, hidden), ("self_attn.k_proj", kv, hidden), ("self_attn.v_proj", kv, hidden),
                                    ("self_attn.o_proj", hidden, q), ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden),
                                    ("mlp.down_proj", hidden, inner)):
            yield f"{at}{name}.weight", [rows, columns]
        yield f"{at}input_layernorm.weight", [hidden]
        yield f"{at}post_attention_layernorm.weight", [hidden]
    yield "model.norm.weight", [hidden]
    if not config.get("tie_word_embeddings"):
        yield "lm_head.weight", [config["vocab_size"], hidden]


def numel(shape):
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def write_checkpoint(folder, config, shard_bytes=5_000_000_000):
    """Random bf16 weights as the Hub holds them: shards with an index."""
    import torch
    began = time.time()
    folder.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(7)
    shards, size = [[]], 0
    for name, shape in tensors_of(config):
        if size and size + 2 * numel(shape) > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append((name, shape))
        size += 2 * numel(shape)
    weight_map, total = {}, 0
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for name, shape in shard:
            header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + 2 * numel(shape)]}
            weight_map[name] = file
            at += 2 * numel(shape)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / file, "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for _, shape in shard:
                values = torch.empty(shape, dtype=torch.bfloat16, device=device)
                values = values.fill_(1) if len(shape) == 1 else values.normal_(0, 0.02)
                values.cpu().view(torch.int16).numpy().tofile(out)
        total += at
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ROOT / "assets/quickstart/model" / name, folder)
    (folder / "config.json").write_text(json.dumps(config))  # last: a folder that has it is whole
    print(f"wrote {total / 1e9:.1f} GB to {folder} in {time.time() - began:.1f} s", flush=True)


def warm(folder):
    """Reads every byte; the second reading's rate tells whether they stayed in memory."""
    buffer, total = bytearray(1 << 24), 0
    for turn in range(2):
        began = time.time()
        total = 0
        for file in sorted(folder.glob("*.safetensors")):
            with open(file, "rb", buffering=0) as opened:
                while got := opened.readinto(buffer):
                    total += got
    rate = total / max(time.time() - began, 1e-9)
    print(f"read twice; the second time at {rate / 1e9:.1f} GB/s", flush=True)
    return total, rate


def status_of(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmHWM", "VmRSS", "RssAnon"))}


def measure_start(model, mapped):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        (out / "run.yaml").write_text(lora_on_chats.recipe(lora_on_chats.from_checkpoint(model), ROOT / "assets/quickstart/data/train.jsonl",
                                                           out / "run", pack=4096, packs_a_step=2, steps=3))
        steps, first, peaks = out / "run/training.jsonl", None, {}
        with open(out / "log", "w+") as log:
            began = time.time()
            process = subprocess.Popen([PROGRAM, "finetune", "llm", "-c", str(out / "run.yaml")], cwd=ROOT, stdout=log, stderr=log)
            while process.poll() is None:
                if first is None and steps.exists() and steps.stat().st_size:
                    first = time.time() - began
                for name, value in status_of(process.pid).items():
                    peaks[name] = max(peaks.get(name, 0), value)
                time.sleep(0.005)
            ended = time.time() - began
            if process.returncode != 0:
                log.seek(0)
                raise SystemExit(f"gpu_start: the program ended with {process.returncode}:\n{log.read()}")
        losses = [json.loads(line)["loss"] for line in steps.read_text().splitlines()]
    result = {"measured": "start", "start_to_first_step_s": round(first, 3), "whole_run_s": round(ended, 3), "losses": losses,
              "peak_rss_gib": round(peaks["VmHWM"] / GIB, 3), "mapped_gib": round(mapped / GIB, 3),
              "peak_above_mapping_gib": round((peaks["VmHWM"] - mapped) / GIB, 3), "peak_anonymous_gib": round(peaks["RssAnon"] / GIB, 3)}
    print(json.dumps(result), flush=True)
    return result


def read_back(model):
    test = pathlib.Path(PROGRAM).with_name("test_gpu")
    began = time.time()
    done = subprocess.run([test, "--gtest_filter=ReadBack.OfAWholeCheckpoint*"], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          env={"AUTOMODEL_TEST_DEVICE": "cuda", "AUTOMODEL_SOURCE": str(ROOT)} | dict(os.environ, AUTOMODEL_TEST_CHECKPOINT=str(model)))
    if done.returncode != 0:
        print(done.stdout)
    result = {"measured": "read_back", "equal": done.returncode == 0 and "SKIPPED" not in done.stdout, "seconds": round(time.time() - began, 2),
              "said": [line.strip() for line in done.stdout.splitlines() if "read back" in line]}
    print(json.dumps(result), flush=True)
    return result


def speed(recipe, steps, warmup):
    """The recipe of bench/gpu.py's first row by both commands, twice each in turn. A fine-tuning recipe has no section `benchmark`."""
    found = {"benchmark": [], "finetune": []}
    steps = ["--step_scheduler.max_steps", str(steps)]
    text = (ROOT / recipe).read_text().replace("BenchmarkingRecipeForNextTokenPrediction", "TrainFinetuneRecipeForNextTokenPrediction")
    text = re.sub(r"^benchmark:\n(?:[ #].*\n)*", "", text, flags=re.MULTILINE)
    for _ in range(2):
        run = subprocess.run([PROGRAM, "benchmark", "llm", "-c", recipe, *steps, "--json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
        found["benchmark"].append(json.loads(run.stdout)["tokens_per_s"])
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "run.yaml").write_text(text)
            subprocess.run([PROGRAM, "finetune", "llm", "-c", f"{folder}/run.yaml", *steps, "--checkpoint.checkpoint_dir", folder], cwd=ROOT,
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            lines = [json.loads(line) for line in open(f"{folder}/training.jsonl")]
        found["finetune"].append(statistics.median(line["tps"] for line in lines[warmup:]))
    rates = {name: sum(values) / len(values) for name, values in found.items()}
    result = {"measured": "speed", "recipe": recipe, "tokens_per_s": found, "finetune_over_benchmark": round(rates["finetune"] / rates["benchmark"], 4)}
    print(json.dumps(result), flush=True)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "automodel_start_8b")
    parser.add_argument("--config", type=pathlib.Path, default=ROOT / "configs/benchmark/models/llama-3-8b/config.json")
    parser.add_argument("--recipe", default="configs/benchmark/llama3_8b_lora.yaml")
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--skip", default="")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    skip = arguments.skip.split(",")
    report = []
    if "start" not in skip or "read_back" not in skip:
        if not (arguments.folder / "config.json").exists():
            write_checkpoint(arguments.folder, json.loads(arguments.config.read_text()))
        mapped, rate = warm(arguments.folder)
        report.append({"measured": "page_cache", "gb": mapped / 1e9, "gb_per_s": rate / 1e9})
        if "start" not in skip:
            report += [measure_start(arguments.folder, mapped) for _ in range(arguments.repeats)]
        if "read_back" not in skip:
            report.append(read_back(arguments.folder))
    if "speed" not in skip:
        report.append(speed(arguments.recipe, arguments.steps, warmup=5))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
