#!/usr/bin/env python3
"""Writes the tokens of configs/pretrain_megatron.yaml: passages of the quickstart's pre-training text as Megatron's own builder lays them out.

    python tools/make_quickstart_tokens.py          (from the repository's root; needs transformers and megatron-core 0.16.1)

`automodel preprocess` makes the same bytes of rows {"text": passage} with --append-eod.
"""
import json
import pathlib

import torch
from megatron.core.datasets.indexed_dataset import DType, IndexedDatasetBuilder
from transformers import AutoTokenizer

PASSAGES = 700


def main():
    tokenizer = AutoTokenizer.from_pretrained("assets/quickstart/model")
    out = pathlib.Path("assets/quickstart/tokens")
    out.mkdir(parents=True, exist_ok=True)
    prefix = str(out / "passages_text_document")
    builder = IndexedDatasetBuilder(f"{prefix}.bin", dtype=DType.optimal_dtype(len(tokenizer)))
    rows = [json.loads(line) for line in open("assets/quickstart/pretrain/train.jsonl", encoding="utf-8")]
    for row in rows[-PASSAGES:]:
        ids = tokenizer(f"{row['question']} {row['answer']}").input_ids + [tokenizer.eos_token_id]
        builder.add_document(torch.tensor(ids), [len(ids)])
    builder.finalize(f"{prefix}.idx")


if __name__ == "__main__":
    main()
