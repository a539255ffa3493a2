#!/usr/bin/env python3
"""Golden files for `automodel preprocess`: what Megatron's tools/preprocess_data.py writes for the same rows.

    python tools/make_preprocess_goldens.py          (from the repository's root, which the paths in the files are relative to)

Needs transformers 5.17 and megatron-core 0.16.1, whose IndexedDatasetBuilder writes the files; how rows become documents is the
tool's Encoder: a text or a list of texts, the tokenizer's call with its special tokens, eod after the last that is not empty.
Writes automodel/data/testdata/preprocess: inputs, PREFIX_KEY_document.{bin,idx}, a tokenizer that becomes one of 70,000 ids, and goldens.json,
[{"inputs", "model", "keys", "append_eod", "prefix"}].
"""
import json
import pathlib
import shutil
import tempfile

import torch
from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer

FOLDER = pathlib.Path("automodel/data/testdata/preprocess")
QUICKSTART = "assets/quickstart/model"


def large_vocabulary(folder):
    """70,000 ids, so that tokens need int32, and a bos token that the post-processor puts before every text. What is kept in the
    repository is the file with three ids; the test adds the words w3, w4, ... as is done here."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    kept = FOLDER / "large_tokenizer.json"
    tokenizer.save(str(kept), pretty=False)
    words = "".join(f',"w{i}":{i}' for i in range(3, 70000))
    text = kept.read_text()
    assert '"</s>":2}' in text
    (folder / "tokenizer.json").write_text(text.replace('"</s>":2}', f'"</s>":2{words}}}'))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    for place in (folder, FOLDER):
        (place / "tokenizer_config.json").write_text(json.dumps(config))


def preprocess(name, inputs, model, keys, append_eod):
    tokenizer = AutoTokenizer.from_pretrained(model)
    prefix = FOLDER / name
    outputs = {key: f"{prefix}_{key}_document" for key in keys}
    builders = {key: IndexedDatasetBuilder(f"{outputs[key]}.bin", dtype=DType.optimal_dtype(len(tokenizer))) for key in keys}
    for path in inputs:
        for line in open(path, encoding="utf-8"):
            row = json.loads(line)
            for key in keys:
                ids, lengths = [], []
                for sentence in row[key] if isinstance(row[key], list) else [row[key]]:
                    sentence_ids = tokenizer(sentence).input_ids
                    if len(sentence_ids) > 0:
                        ids.extend(sentence_ids)
                        lengths.append(len(sentence_ids))
                if len(ids) > 0 and append_eod:
                    ids.append(tokenizer.eos_token_id)
                    lengths[-1] += 1
                builders[key].add_document(torch.tensor(ids, dtype=torch.int64), lengths)
    for key in keys:
        builders[key].finalize(f"{outputs[key]}.idx")
    return {"inputs": inputs, "model": model, "keys": keys, "append_eod": append_eod, "prefix": str(prefix)}


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    rows = [json.loads(line) for line in open("assets/quickstart/pretrain/train.jsonl", encoding="utf-8")][:40]
    texts = [row["question"] + "\n" + row["answer"] for row in rows]
    texts[3], texts[7] = "", "\u00e9\U0001f600 \\ \" \t\u2028 <|im_end|> end"
    texts[9] = "w69999 w5 other w70000"
    one, two = str(FOLDER / "one.jsonl"), str(FOLDER / "two.jsonl")
    with open(one, "w", encoding="utf-8") as out:
        for i, text in enumerate(texts):
            out.write(json.dumps({"id": i, "text": text, "meta": {"text": ["x", {"y": None}]}}, ensure_ascii=i % 2 == 0) + "\n")
    with open(two, "w", encoding="utf-8") as out:
        for i, row in enumerate(rows[:12]):
            sentences = [] if i == 5 else ["", ""] if i == 6 else ["", row["question"], "", row["answer"], ""]
            out.write(json.dumps({"title": row["question"], "text": sentences}) + "\n")
    large = pathlib.Path(tempfile.mkdtemp())
    large_vocabulary(large)
    goldens = []
    for eod in (False, True):
        goldens.append(preprocess(f"plain_{eod}", [one], QUICKSTART, ["text"], eod))
        goldens.append(preprocess(f"files_{eod}", [two, one], QUICKSTART, ["text"], eod))
        goldens.append(preprocess(f"keys_{eod}", [two], QUICKSTART, ["title", "text"], eod))
        goldens.append(preprocess(f"large_{eod}", [one, two], str(large), ["text"], eod) | {"model": "large"})
    (FOLDER / "goldens.json").write_text(json.dumps(goldens, indent=1) + "\n")
    print(len(goldens))


if __name__ == "__main__":
    main()
