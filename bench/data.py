#!/usr/bin/env python3
"""Chats to packed batches: ours against transformers' apply_chat_template with datasets.map; first batch; memory.

    python3 bench/data.py --assets DIR [--gigabytes 1,2] [--out bench/results/data.json]

Needs build/bin/bench_data (ninja -C build bench_data) and a Python with transformers and datasets in AUTOMODEL_ORACLES.
DIR holds datasets/gsm8k/train.jsonl and tokenizers/npm-qwen3. The chats are gsm8k's questions and answers; both sides have
one thread, the same tokenizer and the same template with generation marks, mask by these marks, and lay samples into packs of
4,096 tokens. Large files are the same chats repeated.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "build/bin/bench_data"
TEMPLATE = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% generation %}"
            "{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}")


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=ROOT)
    if done.returncode != 0:
        raise SystemExit(f"{command} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def best(command, repeats):
    return max((run(command) for _ in range(repeats)), key=lambda result: result["rows_per_s"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", required=True, type=pathlib.Path)
    parser.add_argument("--gigabytes", default="1,2", help="sizes of the files for first batch and memory")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    model = options.assets / "tokenizers/npm-qwen3"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        template = pathlib.Path(folder, "template.jinja")
        template.write_text(TEMPLATE)
        rows = [json.loads(line) for line in (options.assets / "datasets/gsm8k/train.jsonl").open()]
        text = "".join(json.dumps({"messages": [{"role": "user", "content": row["question"]},
                                                {"role": "assistant", "content": row["answer"]}]}) + "\n" for row in rows)
        chats = pathlib.Path(folder, "chats.jsonl")
        chats.write_text(text)
        results = {"chats": len(rows), "bytes": len(text)}
        # Turn by turn in one sitting, the best of each.
        results["ours"] = best([BENCH, model, chats, template], options.repeats)
        results["peer"] = best([os.environ["AUTOMODEL_ORACLES"], ROOT / "bench/peers/data.py", model, chats, template], options.repeats)
        results["ours_2_threads"] = best([BENCH, model, chats, template, "--threads", 2], options.repeats)
        run([BENCH, model, chats, template, "--cache", folder])
        results["ours_cached"] = best([BENCH, model, chats, template, "--cache", folder], options.repeats)
        results["ratio"] = results["ours"]["rows_per_s"] / results["peer"]["rows_per_s"]
        for size in options.gigabytes.split(","):
            large = pathlib.Path(folder, f"{size}gb.jsonl")
            with large.open("w") as file:
                while file.tell() < float(size) * 1e9:
                    file.write(text)
            plain = run([BENCH, model, large, template, "--tokens", 2_000_000])
            shuffled = run([BENCH, model, large, template, "--tokens", 2_000_000, "--shuffle"])
            results[f"{size}gb"] = {"in_order": plain, "shuffled": shuffled}
            large.unlink()
    print(json.dumps(results, indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
