#!/usr/bin/env python3
"""Golden files for automodel/data's Megatron part: indexed data sets and the order of their samples.

    python tools/make_megatron_goldens.py          (from the repository's root, which the paths in the files are relative to)

Needs, in the oracles' Python, `pip install --no-deps --require-hashes -r tools/megatron.lock`: megatron-core 0.16.1 (IndexedDatasetBuilder, helpers_cpp), nemo-automodel 0.7.0 (its GPTDataset, BlendedDataset and builder,
with megatron-core's compiled helpers in the place of those it would compile itself), numpy < 3.
Writes automodel/data/testdata/megatron: NAME.bin and NAME.idx, and goldens.json:
  {"shuffles": [{"seed", "sizes", "first", "md5"}], "files": [{"prefix", "dtype", "sequences", "documents", "modes"}],
   "orders": [{"name", "paths", "options", "part", "samples", "length", "tokens": [[...]], "md5", "cache": {file: md5}}], "mock_packed": [{"options", "blocks"}]}
"""
import hashlib
import json
import pathlib
import shutil
import sys
import tempfile
import types

import numpy
import torch

# Only a type is needed from the loader, which would import packages that have nothing to do with the order of samples.
sys.modules["nemo_automodel.components.datasets.loader"] = types.SimpleNamespace(DatasetBuildSchedule=object)

from megatron.core.datasets import helpers_cpp
from megatron.core.datasets.indexed_dataset import IndexedDatasetBuilder
from nemo_automodel.components.datasets.llm import megatron_dataset
from nemo_automodel.components.datasets.llm.megatron import helpers, megatron_utils

for module in (megatron_dataset, helpers, megatron_utils):
    module.compile_helper = lambda: helpers_cpp

FOLDER = pathlib.Path("automodel/data/testdata/megatron")
TOKENIZER = types.SimpleNamespace(name_or_path="models/tokenizer \u00e9", pad_token_id=-1, eos_token_id=-2)


def build(name, dtype, documents, modes=None):
    """documents: lists of sequences, each a list of ids."""
    prefix = FOLDER / name
    out = IndexedDatasetBuilder(f"{prefix}.bin", dtype=dtype, multimodal=modes is not None)
    at = 0
    for document in documents:
        flat = [i for sequence in document for i in sequence]
        lengths = [len(sequence) for sequence in document]
        kwargs = {"modes": modes[at:at + len(lengths)]} if modes is not None else {}
        at += len(lengths)
        out.add_document(torch.tensor(flat, dtype=torch.int64), lengths, **kwargs)
    out.finalize(f"{prefix}.idx")
    sequences = [sequence for document in documents for sequence in document]
    ends = numpy.cumsum([0] + [len(document) for document in documents]).tolist()
    return {"prefix": str(prefix), "dtype": dtype.__name__, "sequences": sequences, "documents": ends, "modes": modes}


def files():
    random = numpy.random.RandomState(5)
    made = []
    for dtype in (numpy.uint8, numpy.int8, numpy.int16, numpy.int32, numpy.int64, numpy.float64, numpy.float32, numpy.uint16):
        documents = [[random.randint(0, 100, random.randint(0, 6)).tolist() for _ in range(random.randint(0, 3))] for _ in range(4)]
        if dtype == numpy.int64:
            documents.append([[2**40, -7]])
        if dtype == numpy.uint16:
            documents.append([[65499, 40000]])
        made.append(build(f"of_{dtype.__name__}", dtype, documents))
    made.append(build("with_modes", numpy.int32, [[[1, 2], [3]], [[4, 5, 6]]], modes=[0, 1, 0]))
    for name, dtype, count, longest in (("a", numpy.uint16, 24, 60), ("b", numpy.int32, 11, 30), ("c", numpy.int32, 40, 12)):
        made.append(build(name, dtype, [[random.randint(0, 4096, random.randint(0, longest)).tolist()] for _ in range(count)]))
    return made


def mock_packed():
    """Blocks of NeMo AutoModel's build_packed_dataset; its own Dataset class is not needed for them."""
    sys.modules.setdefault("datasets", types.SimpleNamespace(
        Dataset=types.SimpleNamespace(from_list=lambda rows, features=None: rows), Features=dict, Sequence=list, Value=str))
    from nemo_automodel.components.datasets.llm.mock_packed import build_packed_dataset
    made = []
    for options in ({}, {"seed": 7, "num_blocks": 3, "block_size": 32, "mean_len": 5.5, "std_len": 3.0, "vocab_size": 50},
                    {"seed": 2**40 + 3, "num_blocks": 2, "block_size": 64, "max_sentence_len": 9}):
        blocks = [row["input_ids"] for row in build_packed_dataset(**options)]
        made.append({"options": options, "blocks": blocks})
    return made


def md5(data):
    return hashlib.md5(data).hexdigest()


def shuffles():
    made = []
    for seed in (0, 1234, 2**32 - 1):
        for sizes in ([10], [1, 2, 3], [1000, 5], [70000]):
            state = numpy.random.RandomState(seed)
            arrays = []
            for size in sizes:
                array = numpy.arange(size, dtype=numpy.int32)
                state.shuffle(array)
                arrays.append(array)
            whole = numpy.concatenate(arrays)
            made.append({"seed": seed, "sizes": sizes, "first": whole[:20].tolist(), "md5": md5(whole.tobytes())})
    return made


def order(name, paths, part, samples, **options):
    with tempfile.TemporaryDirectory() as cache:
        keys = {"train": "num_train_samples", "validation": "num_val_samples", "test": "num_test_samples"}
        data = megatron_dataset.MegatronPretraining(paths=paths, tokenizer=TOKENIZER, index_mapping_dir=cache, splits_to_build=part,
                                                    trainer_limit_val_batches=2, **{keys[part]: samples}, **options)
        data.build()
        made = data.get_dataset(part)
        tokens = [torch.cat([made[i]["input_ids"], made[i]["labels"][-1:]]).tolist() for i in range(len(made))]
        whole = numpy.array(tokens, dtype=numpy.int32)
        cached = {path.name: md5(path.read_bytes()) for path in sorted(pathlib.Path(cache).iterdir())}
    return {"name": name, "paths": paths, "options": options, "part": part, "samples": samples, "length": len(tokens),
            "tokens": tokens[:3], "md5": md5(whole.tobytes()), "cache": cached}


def orders():
    a, b, c = (str(FOLDER / name) for name in "abc")
    made = []
    for samples in (None, 1, 40, 41, 60, 100, 119, 120, 200, 999):
        made.append(order("one file", a, "train", samples, seq_length=16, split="99,1,0"))
    for split in ("train", "validation", "test"):
        for shares in ("900,50,50", "0.7, 0.2, 0.1", "1,1,1", "8,1,1"):
            if (split, shares) in (("test", "900,50,50"), ("validation", "900,50,50")):
                continue
            made.append(order("shares", a, split, None, seq_length=4, seed=7, split=shares))
    made.append(order("list of shares", c, "train", None, seq_length=5, split=["0.99", "0.01", "0.00"]))
    made.append(order("glob", str(FOLDER / "[ab].*"), "train", 30, seq_length=8, split="1,0,0"))
    for samples in (None, 7, 50, 10000):
        made.append(order("blend by size", [a, b, c], "train", samples, seq_length=8, split="8,1,1"))
        made.append(order("two by size", [a, b], "validation", samples, seq_length=2, split="1,1,0"))
    for samples in (1, 10, 100, 777):
        made.append(order("weights", ["30", a, "70", b], "train", samples, seq_length=8, split="1,0,0"))
        made.append(order("weights", ["1", a, "2.5", b, "0.25", c], "validation", samples, seq_length=8, split="0.5,0.5,0"))
        made.append(order("many weights", [x for k in range(9) for x in (str(1 / (k + 3)), (a, b, c)[k % 3])], "train", samples,
                          seq_length=8, split="1,0,0"))
    made.append(order("one with a weight", ["30", a], "train", 25, seq_length=8, split="1,0,0"))
    apart = {"train": ["30", a, "70", b], "validation": [c], "test": [a, b, c]}
    for split in apart:
        made.append(order("a blend for each split", apart, split, 33, seq_length=8, split=None))
    made.append(order("a blend for each split", apart, "test", None, seq_length=8, split=None))
    return made


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    store = tempfile.NamedTemporaryFile()
    torch.distributed.init_process_group("gloo", init_method=f"file://{store.name}", rank=0, world_size=1)
    goldens = {"shuffles": shuffles(), "files": files(), "orders": orders(), "mock_packed": mock_packed()}
    lines = ["{"] + [f'"{part}": [\n' + ",\n".join(json.dumps(item) for item in items) + "\n]" + ("," if part != "mock_packed" else "")
                     for part, items in goldens.items()] + ["}"]
    (FOLDER / "goldens.json").write_text("\n".join(lines) + "\n")
    print({part: len(items) for part, items in goldens.items()})


if __name__ == "__main__":
    main()
