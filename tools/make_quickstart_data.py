#!/usr/bin/env python3
"""Writes the quickstart's data set: short grade-school problems of GSM8K as chats.

    python tools/make_quickstart_data.py --assets ASSETS --out assets/quickstart/data

train.jsonl are the TRAIN shortest problems of GSM8K's training set, validation.jsonl the VALIDATION shortest of its test set,
in the order of the source. The calculator marks of the source (<<48/2=24>>) are taken out; nothing else is changed.
Source: openai/grade-school-math at 3101c7d50724 (MIT), found under ASSETS/datasets/gsm8k.
"""
import argparse
import json
import pathlib
import re

TRAIN, VALIDATION = 1500, 150
MARKS = re.compile(r"<<[^<>]*>>")


def chats(path, count):
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    shortest = sorted(range(len(rows)), key=lambda i: (len(rows[i]["question"]) + len(rows[i]["answer"]), i))[:count]
    for i in sorted(shortest):
        yield {"messages": [{"role": "user", "content": rows[i]["question"].strip()},
                            {"role": "assistant", "content": MARKS.sub("", rows[i]["answer"]).strip()}]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    source = arguments.assets / "datasets" / "gsm8k"
    for name, file, count in (("train", "train.jsonl", TRAIN), ("validation", "test.jsonl", VALIDATION)):
        with (arguments.out / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n") as out:
            for chat in chats(source / file, count):
                out.write(json.dumps(chat, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
