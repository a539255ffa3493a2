#!/usr/bin/env python3
"""Speed of text to ids, ours and PyPI tokenizers', turn by turn in one run.

    python3 bench/tokenizer.py [--repeats 5] [--out bench/results/tokenizer.json]

Needs build/bin/bench_tokenizer (ninja -C build bench_tokenizer), the assets in AUTOMODEL_ASSETS and a Python with tokenizers in
AUTOMODEL_ORACLES. Each run is a process of its own that sees every text once: caches of words are cold and the text is unseen.
Rows: Qwen3, DeepSeek-V3, Phi-3; one thread against the batch API on one thread; ours with 2 threads; loading Qwen3's tokenizer.json.
One thread and loading are measured in CPU seconds of the process, which other work on the machine disturbs little: the median of the repeats counts.
2 threads against 1 are measured in wall seconds: a run takes 60 to 200 ms, other work can only lengthen it, so the shortest of the repeats counts;
"preempted" says how often another process took a core in that run. Both sides must give the same number of tokens.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
ASSETS = pathlib.Path(os.environ["AUTOMODEL_ASSETS"])
ORACLE = os.environ["AUTOMODEL_ORACLES"]
PROGRAM = os.environ.get("AUTOMODEL_BENCH_TOKENIZER", str(ROOT / "build/bin/bench_tokenizer"))
TOKENIZERS = {"Qwen3": "npm-qwen3", "DeepSeek-V3": "npm-deepseek_v3", "Phi-3": "phi-3"}
GOALS = {"Qwen3": (5, 8), "DeepSeek-V3": (5, 8), "Phi-3": (2, 4)}


def texts_of_assets():
    """Prose, questions, chats and code of the assets as documents of some kilobytes; no line comes twice."""
    lines, seen = [], set()
    files = ["datasets/tinyshakespeare/input.txt", "tokenizers/sentencepiece/botchan.txt", "tokenizers/tiktoken/TestPlans.txt"]
    files += sorted(str(path.relative_to(ASSETS)) for folder in ("gsm8k", "fastchat", "self-instruct", "tau-bench")
                    for path in (ASSETS / "datasets" / folder).rglob("*") if path.suffix in (".json", ".jsonl", ".txt", ".md"))
    for name in files:
        text = (ASSETS / name).read_text(encoding="utf-8", errors="replace")
        for line in text.split("\n"):
            line = line[:4000].encode("utf-8", "replace").decode()
            if line not in seen:
                seen.add(line)
                lines.append(line)
    documents, current = [], []
    for line in lines:
        current.append(line)
        if sum(map(len, current)) > 3000:
            documents.append("\n".join(current))
            current = []
    return documents + ["\n".join(current)]


def run(command, environment=None):
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out")
    options = parser.parse_args()
    rows = []
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as texts:
        json.dump(texts_of_assets(), texts)
        texts.flush()
        for name, folder in TOKENIZERS.items():
            place = str(ASSETS / "tokenizers" / folder / "tokenizer.json")
            sides = {"ours": [], "ours_2_threads": [], "peer": []}
            for _ in range(options.repeats):
                sides["ours"].append(run([PROGRAM, place, texts.name, "1"]))
                sides["peer"].append(run([ORACLE, str(ROOT / "bench/peers/tokenizer.py"), place, texts.name],
                                         {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}))
                sides["ours_2_threads"].append(run([PROGRAM, place, texts.name, "2"]))
            tokens = {entry["tokens"] for runs in sides.values() for entry in runs}
            if len(tokens) != 1:
                raise SystemExit(f"{name}: the sides give different counts of tokens: {tokens}")
            best = {side: min(runs, key=lambda entry: entry["seconds"]) for side, runs in sides.items()}
            seconds = {side: statistics.median(entry["cpu_s"] for entry in runs) for side, runs in sides.items()}
            load = {side: statistics.median(entry["load_cpu_s"] for entry in runs) for side, runs in sides.items()}
            size = sides["ours"][0]["bytes"]
            row = {"tokenizer": name, "bytes": size, "tokens": tokens.pop(), "repeats": options.repeats,
                   "ours_mb_per_s": size / 1e6 / seconds["ours"], "peer_mb_per_s": size / 1e6 / seconds["peer"],
                   "times_the_peer": seconds["peer"] / seconds["ours"], "at_least": GOALS[name][0], "goal": GOALS[name][1],
                   "two_threads_against_one": best["ours"]["seconds"] / best["ours_2_threads"]["seconds"],
                   "two_threads_preempted": best["ours_2_threads"]["preempted"],
                   "load_average": os.getloadavg()[0],
                   "load_ours_s": load["ours"], "load_peer_s": load["peer"], "load_times_the_peer": load["peer"] / load["ours"]}
            rows.append(row)
            print("{tokenizer}: {ours_mb_per_s:.1f} MB/s against {peer_mb_per_s:.1f}: {times_the_peer:.1f}x; 2 threads {two_threads_against_one:.2f}x; "
                  "load {load_ours_s:.3f} s against {load_peer_s:.3f}: {load_times_the_peer:.1f}x".format(**row), flush=True)
    if options.out:
        pathlib.Path(options.out).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
