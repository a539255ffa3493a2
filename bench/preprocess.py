#!/usr/bin/env python3
"""`automodel preprocess` against a plain Python loop over PyPI's tokenizers that writes the same files, in turn.

    AUTOMODEL_ASSETS=DIR python3 bench/preprocess.py [--rounds 3] [--tokenizer npm-qwen3] [--megabytes 40] [--out bench/results/preprocess.json]

Needs AUTOMODEL_ORACLES, a Python with tokenizers (tools/setup --oracles). The text is every string of at least 200 characters in the data
sets of the assets, each once (7 MB), and then sentences of these in new order, as rows {"text": ...}; it fits into the page cache and is read once before. The peer runs in one thread,
as such a loop does (bench/peers/preprocess.py), and its time is that of the loop alone; ours is the whole process from start to exit,
with 1 worker and with one for each core. The files must be equal byte for byte.
"""
import argparse
import filecmp
import itertools
import json
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def texts(assets, limit_bytes):
    seen, total = set(), 0
    for path in sorted(assets.rglob("*")):
        if path.suffix == ".txt":
            found = path.read_text(encoding="utf-8", errors="replace").split("\n\n")
            found = ["\n\n".join(found[i:i + 8]) for i in range(0, len(found), 8)]
        elif path.suffix in (".json", ".jsonl"):
            text = path.read_text(encoding="utf-8")
            rows = [text] if path.suffix == ".json" else text.splitlines()
            found = []
            for row in rows:
                try:
                    found.extend(strings(json.loads(row)))
                except ValueError:
                    pass
        else:
            continue
        for text in found:
            if len(text) >= 200 and text not in seen:
                seen.add(text)
                total += len(text.encode(errors="replace"))
                yield text.encode(errors="replace").decode()
                if total >= limit_bytes:
                    return


def recombined(base, limit_bytes):
    """Documents of sentences drawn at random, from a fixed seed."""
    sentences, chance, total = [part for text in base for part in text.split(". ") if part], random.Random(1), 0
    while total < limit_bytes:
        text = ". ".join(chance.choice(sentences) for _ in range(chance.randint(3, 30)))
        total += len(text.encode())
        yield text


def timed(command, env=None):
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, cpu, json.loads(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=40)
    parser.add_argument("--tokenizer", default="npm-qwen3", help="folder in the assets' tokenizers")
    parser.add_argument("--automodel", default=str(ROOT / "build/bin/automodel"))
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    assets = pathlib.Path(os.environ["AUTOMODEL_ASSETS"])
    model = assets / "tokenizers" / arguments.tokenizer
    oracle = os.environ.get("AUTOMODEL_ORACLES", sys.executable)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        rows = folder / "rows.jsonl"
        with rows.open("w", encoding="utf-8") as out:
            base = list(texts(assets / "datasets", arguments.megabytes * 1e6))
            more = recombined(base, arguments.megabytes * 1e6 - sum(len(text.encode()) for text in base))
            for text in itertools.chain(base, more):
                out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
        cores = len(os.sched_getaffinity(0))
        times = {"peer": [], "ours_1_worker": [], f"ours_{cores}_workers": []}
        cpus = {side: [] for side in times}
        for _ in range(arguments.rounds):
            _, cpu, peer = timed([oracle, str(ROOT / "bench/peers/preprocess.py"), str(rows), str(folder / "peer"), str(model)],
                            {**os.environ, "TOKENIZERS_PARALLELISM": "false"})
            times["peer"].append(peer["seconds"])
            cpus["peer"].append(cpu)
            for side, workers in (("ours_1_worker", 1), (f"ours_{cores}_workers", cores)):
                seconds, cpu, made = timed([arguments.automodel, "preprocess", "--input", str(rows), "--output-prefix", str(folder / "ours"),
                                       "--model", str(model), "--workers", str(workers), "--restart", "--json"])
                times[side].append(seconds)
                cpus[side].append(cpu)
                assert made["documents"] == peer["documents"] and made["tokens"] == peer["tokens"], (made, peer)
                for ending in ("bin", "idx"):
                    assert filecmp.cmp(folder / f"peer_text_document.{ending}", folder / f"ours_text_document.{ending}", shallow=False)
        median = {side: statistics.median(all_times) for side, all_times in times.items()}
        report = {
            "work": {"tokenizer": arguments.tokenizer, "megabytes": rows.stat().st_size / 1e6, "documents": peer["documents"],
                     "tokens": peer["tokens"], "cores": cores, "rounds": arguments.rounds},
            "threads": {"peer": 1, "ours_1_worker": 1, f"ours_{cores}_workers": cores},
            "seconds": times,
            "median_seconds": median,
            "cpu_seconds": cpus,  # of the whole processes; what a crowded machine changes least
            "megabytes_per_second": {side: rows.stat().st_size / 1e6 / seconds for side, seconds in median.items()},
            "times_the_peer": {side: median["peer"] / seconds for side, seconds in median.items() if side != "peer"},
            "load_average_at_end": os.getloadavg()[0],
        }
    print(json.dumps(report, indent=1))
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
