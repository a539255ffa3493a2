#!/usr/bin/env python3
"""Real chats, packed: LoRA of Llama-3-8B on one GPU, ours and transformers + PEFT + liger in TRL's best-fit packs, turn by turn.

    python3 bench/gpu_chats.py prepare --assets DIR --folder F      (no GPU; transformers, datasets and trl==1.16.0)
    python3 bench/gpu_chats.py run --folder F [--steps 30] [--repeats 2] [--attention varlen,sdpa] [--out FILE]

prepare writes two sets of chats and what TRL's pack_dataset(strategy="bfd") makes of them: GSM8K's questions and answers (200
tokens a chat; packs of 4,096, two a step) and tau-bench's airline conversations (4,000 tokens; packs of 8,192, one a step). Ours reads
the chats, tokenises, masks and packs them while it trains; the peer gets its batches ready on the GPU. Both have Qwen3's tokenizer, the
same template and the same mask, and Llama-3-8B's shape with that tokenizer's vocabulary. Steps 1 to 5 (the peer's 1 to 3) are not counted.
Trained tokens are labels that are not masked; real tokens all but padding. The ratio is of trained tokens/s.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import lora_on_chats

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("AUTOMODEL_BINARY", str(ROOT / "build/bin/automodel"))
VOCABULARY = 151936
SETS = {"gsm8k": {"pack": 4096, "packs_a_step": 2}, "airline": {"pack": 8192, "packs_a_step": 1}}
TEMPLATE = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}{% generation %}"
            "{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}")


def gsm8k(assets):
    for line in (assets / "datasets/gsm8k/train.jsonl").open():
        row = json.loads(line)
        yield [{"role": "user", "content": row["question"]}, {"role": "assistant", "content": row["answer"]}]


def airline(assets):
    """Calls of tools and their answers as plain text: some of the answers lack the id of the call, which a chat with tools must have."""
    for row in json.loads((assets / "datasets/tau-bench/gpt-4o-airline.json").read_text()):
        yield [{"role": m["role"].replace("tool", "user"), "content": (m.get("content") or "") + (json.dumps(m["tool_calls"]) if m.get("tool_calls") else "")}
               for m in row["traj"]]


def prepare(options):
    import datasets
    import numpy
    import transformers
    import trl
    from trl.data_utils import pack_dataset
    datasets.disable_progress_bars()
    options.folder.mkdir(parents=True, exist_ok=True)
    tokenizer_folder = options.folder / "tokenizer"
    shutil.copytree(options.assets / "tokenizers/npm-qwen3", tokenizer_folder, dirs_exist_ok=True)
    (tokenizer_folder / "chat_template.jinja").write_text(TEMPLATE)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.chat_template = TEMPLATE
    about = {"trl": trl.__version__, "transformers": transformers.__version__}
    for name, chats in (("gsm8k", gsm8k), ("airline", airline)):
        rows, ids, labels = list(chats(options.assets))[:options.chats], [], []
        (options.folder / f"{name}.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
        for row in rows:
            out = tokenizer.apply_chat_template(row, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
            ids.append(out["input_ids"])
            labels.append([token if keep else -100 for token, keep in zip(out["input_ids"], out["assistant_masks"])])
        data = datasets.Dataset.from_dict({"input_ids": ids, "labels": labels})
        packs = pack_dataset(data, seq_length=SETS[name]["pack"], strategy="bfd").shuffle(seed=1)
        lengths = [numpy.asarray(pack["seq_lengths"]) for pack in packs]
        numpy.savez_compressed(
            options.folder / f"{name}.npz", ids=numpy.concatenate([pack["input_ids"] for pack in packs]).astype(numpy.int32),
            labels=numpy.concatenate([pack["labels"] for pack in packs]).astype(numpy.int32),
            document_begins=numpy.concatenate([[0], numpy.cumsum(numpy.concatenate(lengths))[:-1]]),
            pack_begins=numpy.concatenate([[0], numpy.cumsum([pack.sum() for pack in lengths])]))
        about[name] = {"chats": len(rows), "tokens": sum(map(len, ids)), "median_tokens": statistics.median(map(len, ids)), "packs": len(packs),
                       "trained_tokens": sum(label != -100 for row in labels for label in row[1:]),
                       "filled": sum(pack.sum() for pack in lengths) / (len(packs) * SETS[name]["pack"])}
    (options.folder / "about.json").write_text(json.dumps(about, indent=1, default=float) + "\n")
    print(json.dumps(about, indent=1, default=float))


def ours(options, name):
    with tempfile.TemporaryDirectory() as out:
        file, folder = pathlib.Path(out, "run.yaml"), options.folder.resolve()
        file.write_text(lora_on_chats.recipe(lora_on_chats.from_config(options.model, VOCABULARY), folder / f"{name}.jsonl", f"{out}/run",
                                             tokenizer=folder / "tokenizer", steps=options.steps, weight_decay=0.0, **SETS[name]))
        done = subprocess.run([PROGRAM, "finetune", "llm", "-c", str(file)], cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"gpu_chats: the program ended with {done.returncode}:\n{done.stderr}")
        steps = [json.loads(line) for line in open(f"{out}/run/training.jsonl")][5:]
    tokens, trained = sum(s["num_tokens_per_step"] for s in steps), sum(s["num_label_tokens"] for s in steps)
    seconds = sum(s["num_tokens_per_step"] / s["tps"] for s in steps)
    result = {"set": name, "side": "ours", "steps": len(steps), "tokens": tokens, "trained_tokens": trained, "tokens_per_s": tokens / seconds,
              "trained_tokens_per_s": trained / seconds, "step_s": seconds / len(steps), "tokens_a_step": tokens / len(steps),
              "peak_gib": max(s["mem"] for s in steps), "loss": steps[-1]["loss"]}
    print(json.dumps(result), flush=True)
    return result


def peer(options, name, attention):
    command = [sys.executable, "bench/peers/gpu/chats.py", str(options.folder.resolve() / f"{name}.npz"), attention,
               str(SETS[name]["packs_a_step"]), str(options.peer_steps), str(VOCABULARY)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ, PEER_CHILD_T0=str(time.time())))
    found = [json.loads(line[len("PEER_JSON "):]) for line in done.stdout.splitlines() if line.startswith("PEER_JSON ")]
    if not found:  # a peer that cannot do it must not cost the other rows
        print(f"gpu_chats: the peer ended with {done.returncode}:\n" + "\n".join(done.stderr.splitlines()[-12:]), flush=True)
        return None
    result = {"set": name, "side": attention} | found[0]
    print(json.dumps(result), flush=True)
    return result


def run(options):
    report = {"about": json.loads((options.folder / "about.json").read_text()), "runs": [], "ratios": []}
    attentions = [a for a in options.attention.split(",") if a]
    for name in options.sets.split(","):
        for turn in range(options.repeats):
            report["runs"].append(ours(options, name))
            report["runs"] += [found for attention in attentions if turn == 0 or attention == "varlen"
                               if (found := peer(options, name, attention))]
        rate = lambda side: [r["trained_tokens_per_s"] for r in report["runs"] if r["set"] == name and r["side"] == side]
        for attention in attentions:
            if rate(attention):
                report["ratios"].append({"set": name, "against": attention, "trained_tokens_per_s_ours": statistics.median(rate("ours")),
                                         "peer": statistics.median(rate(attention)),
                                         "ratio": statistics.median(rate("ours")) / statistics.median(rate(attention))})
                print(json.dumps(report["ratios"][-1]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(report, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["prepare", "run"])
    parser.add_argument("--assets", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--chats", type=int, default=4000, help="prepare: at most so many of each set")
    parser.add_argument("--sets", default="gsm8k,airline")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--peer-steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--attention", default="varlen,sdpa", help="sdpa runs once a set")
    parser.add_argument("--model", default="configs/benchmark/models/llama-3-8b", help="ours; another for a try on a small machine")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    prepare(options) if options.what == "prepare" else run(options)


if __name__ == "__main__":
    main()
