"""PyPI tokenizers on one thread: loads TOKENIZER.json, encodes every text of a JSON list once by the batch API.

    TOKENIZERS_PARALLELISM=false python bench/peers/tokenizer.py TOKENIZER.json TEXTS.json

Prints one line of JSON: {"load_s", "bytes", "tokens", "seconds", "load_cpu_s", "cpu_s"}.
"""
import json
import sys
import time

from tokenizers import Tokenizer


def main():
    with open(sys.argv[2], encoding="utf-8") as file:
        texts = json.load(file)
    start, start_cpu = time.perf_counter(), time.process_time()
    tokenizer = Tokenizer.from_file(sys.argv[1])
    loaded, loaded_cpu = time.perf_counter(), time.process_time()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    began, began_cpu = time.perf_counter(), time.process_time()
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    print(json.dumps({"load_s": loaded - start, "bytes": sum(len(text.encode()) for text in texts),
                      "tokens": sum(len(encoding.ids) for encoding in encodings), "seconds": seconds,
                      "load_cpu_s": loaded_cpu - start_cpu, "cpu_s": cpu_s}))


if __name__ == "__main__":
    main()
