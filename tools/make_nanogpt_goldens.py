#!/usr/bin/env python3
"""Golden files for automodel/data's NanoGPT shards: samples as NeMo AutoModel's NanogptDataset gives them.

    python tools/make_nanogpt_goldens.py          (from the repository's root, which the paths in the files are relative to)

Needs nemo-automodel 0.7.0. Writes automodel/data/testdata/nanogpt: shards and goldens.json,
[{"files", "seq_len", "align_to_bos", "bos_token", "samples": [[ids and the last target]]}].
"""
import itertools
import json
import pathlib
import shutil

import numpy
from nemo_automodel.components.datasets.llm.nanogpt_dataset import NanogptDataset

FOLDER = pathlib.Path("automodel/data/testdata/nanogpt")
BOS = 7


def shard(name, magic, dtype, tokens, with_index=False):
    header = numpy.zeros(256, dtype=numpy.int32)
    header[:4] = magic, 1, len(tokens), numpy.dtype(dtype).itemsize if magic == 278895051 else 0
    (FOLDER / f"{name}.bin").write_bytes(header.tobytes() + numpy.array(tokens, dtype=dtype).tobytes())
    if with_index:
        numpy.array([i for i, token in enumerate(tokens) if token == BOS], dtype=numpy.int32).tofile(FOLDER / f"{name}.bos.idx")


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    random = numpy.random.RandomState(3)

    def tokens(count, most):
        made = random.randint(8, most, count)
        made[random.rand(count) < 0.1] = BOS
        return made.tolist()

    shard("old", 20240520, numpy.uint16, tokens(83, 60000))
    shard("part_1", 278895051, numpy.uint16, tokens(150, 60000), with_index=True)
    shard("part_2", 278895051, numpy.uint32, tokens(64, 200000))
    shard("part_3", 278895051, numpy.uint32, tokens(5, 200000))
    goldens = []
    for files in ("old.bin", "part_*.bin", "*.bin"):
        for seq_len in (1, 7, 16):
            for align in (False, True):
                pattern = str(FOLDER / files)
                data = NanogptDataset(pattern, seq_len, bos_token=BOS, align_to_bos=align)
                samples = [s["input_ids"] + s["labels"][-1:] for s in itertools.islice(iter(data), 200 // seq_len + 20)]
                goldens.append({"files": pattern, "seq_len": seq_len, "align_to_bos": align, "bos_token": BOS, "samples": samples})
    (FOLDER / "goldens.json").write_text("[\n" + ",\n".join(json.dumps(golden) for golden in goldens) + "\n]\n")
    print(len(goldens), sum(len(golden["samples"]) for golden in goldens))


if __name__ == "__main__":
    main()
