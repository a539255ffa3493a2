#!/usr/bin/env python3
"""Writes the text on which the quickstart's base model was trained: problems without their answers, and some Shakespeare.

    python tools/make_quickstart_pretrain_data.py --assets ASSETS --out assets/quickstart/pretrain

Each row is a passage, cut after its first words into {"question", "answer"}, the shape of the data kind column_mapped.
Sources: openai/grade-school-math at 3101c7d50724 (MIT), the questions of its training set that are not in the fine-tuning
data; karpathy/char-rnn at 6f9487a6fe5b, Shakespeare (public domain).
"""
import argparse
import json
import pathlib

QUESTIONS, SHAKESPEARE_PASSAGES = 3000, 300


def passage(text):
    words = text.split(" ")
    return {"question": " ".join(words[:3]), "answer": " ".join(words[3:])}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    tuned = {json.loads(line)["messages"][0]["content"]
             for line in (arguments.out.parent / "data" / "train.jsonl").open(encoding="utf-8")}
    gsm8k = [json.loads(line)["question"].strip()
             for line in (arguments.assets / "datasets/gsm8k/train.jsonl").open(encoding="utf-8")]
    rows = [passage(q) for q in gsm8k if q not in tuned][:QUESTIONS]
    plays = (arguments.assets / "datasets/tinyshakespeare/input.txt").read_text(encoding="utf-8").split("\n\n")
    rows += [passage("\n\n".join(plays[i:i + 3])) for i in range(0, 3 * SHAKESPEARE_PASSAGES, 3)]
    arguments.out.mkdir(parents=True, exist_ok=True)
    with (arguments.out / "train.jsonl").open("w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
