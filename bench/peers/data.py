"""The peer of bench/data.py: transformers and datasets, one process. python data.py MODEL FILE TEMPLATE"""
import json
import os
import pathlib
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
import datasets
import transformers

datasets.disable_progress_bars()
model, file, template = sys.argv[1:]
tokenizer = transformers.AutoTokenizer.from_pretrained(model)
tokenizer.chat_template = pathlib.Path(template).read_text()


def sample(row):
    out = tokenizer.apply_chat_template(row["messages"], tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    ids, mask = out["input_ids"], out["assistant_masks"]
    return {"input_ids": ids[:-1], "labels": [token if keep else -100 for token, keep in zip(ids[1:], mask[1:])]}


with tempfile.TemporaryDirectory() as cache:
    data = datasets.load_dataset("json", data_files=file, split="train", cache_dir=cache)
    began = time.perf_counter()
    mapped = data.map(sample, remove_columns=data.column_names)
    packs, ids, labels, tokens, trained = 0, [], [], 0, 0
    for row in mapped:
        if len(ids) + len(row["input_ids"]) > 4096:
            packs, ids, labels = packs + 1, [], []
        ids += row["input_ids"]
        labels += row["labels"]
        tokens += len(row["input_ids"])
        trained += sum(label != -100 for label in row["labels"])
    seconds = time.perf_counter() - began
print(json.dumps({"rows": len(data), "tokens": tokens, "trained_tokens": trained, "seconds": seconds, "packs": packs + 1,
                  "rows_per_s": len(data) / seconds, "tokens_per_s": tokens / seconds}))
