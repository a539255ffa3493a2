"""PyPI tokenizers on one thread: loads TOKENIZER.json, encodes every text of a JSON list once by the batch API.

    TOKENIZERS_PARALLELISM=false python bench/peers/tokenize.py TOKENIZER.json TEXTS.json

Prints one line of JSON: {"load_s", "bytes", "tokens", "seconds"}.
"""
import json
import sys
import time

from tokenizers import Tokenizer


def main():
    with open(sys.argv[2], encoding="utf-8") as file:
        texts = json.load(file)
    start = time.perf_counter()
    tokenizer = Tokenizer.from_file(sys.argv[1])
    loaded = time.perf_counter()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    began = time.perf_counter()
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    seconds = time.perf_counter() - began
    print(json.dumps({"load_s": loaded - start, "bytes": sum(len(text.encode()) for text in texts),
                      "tokens": sum(len(encoding.ids) for encoding in encodings), "seconds": seconds}))


if __name__ == "__main__":
    main()
