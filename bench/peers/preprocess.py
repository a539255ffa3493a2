"""The peer of `automodel preprocess`: a plain Python loop over PyPI's tokenizers that writes the same two files.

    python bench/peers/preprocess.py INPUT.jsonl OUTPUT_PREFIX MODEL_FOLDER          prints {"seconds", "documents", "tokens"}

One thread, one call of encode() a text, as a script would be written; json.loads for the rows, numpy for the bytes. The time is that
of the loop and of writing, without imports and without reading the tokenizer.
"""
import json
import struct
import sys
import time

import numpy
from tokenizers import Tokenizer


def main():
    path, prefix, model = sys.argv[1:4]
    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    short = tokenizer.get_vocab_size() < 65500
    dtype, code = (numpy.uint16, 8) if short else (numpy.int32, 4)
    start = time.perf_counter()
    lengths = []
    with open(path, encoding="utf-8") as rows, open(f"{prefix}_text_document.bin", "wb") as out:
        for line in rows:
            ids = tokenizer.encode(json.loads(line)["text"]).ids
            out.write(numpy.array(ids, dtype=dtype).tobytes())
            lengths.append(len(ids))
    sizes = numpy.array(lengths, dtype=numpy.int32)
    begins = numpy.concatenate([[0], numpy.cumsum(sizes[:-1].astype(numpy.int64) * dtype().itemsize)]).astype(numpy.int64)
    with open(f"{prefix}_text_document.idx", "wb") as out:
        out.write(b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, code, len(sizes), len(sizes) + 1))
        out.write(sizes.tobytes() + begins.tobytes() + numpy.arange(len(sizes) + 1, dtype=numpy.int64).tobytes())
    print(json.dumps({"seconds": time.perf_counter() - start, "documents": len(lengths), "tokens": int(sizes.sum(dtype=numpy.int64))}))


if __name__ == "__main__":
    main()
