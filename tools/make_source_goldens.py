"""Writes automodel/data/testdata/sources: what Hugging Face datasets and pyarrow read from CSV, Parquet and Arrow files,
and which files of a folder they put into which split.

    $(tools/setup --print-oracles) tools/make_source_goldens.py

csv.json      texts of CSV files and their rows by datasets' csv loader
splits.json   names of files (and a README.md), and the files of each split by datasets' own folder rules
*.parquet, *.arrow and tables.json   small tables in every encoding, and their rows by pyarrow
"""

import datetime
import decimal
import json
import logging
import math
import os
import pathlib
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"

import datasets
import pyarrow
import pyarrow.parquet

OUT = pathlib.Path(__file__).resolve().parent.parent / "automodel/data/testdata/sources"
datasets.disable_progress_bars()
logging.disable(logging.ERROR)


def write(name: str, value: object) -> None:
    (OUT / name).write_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n")


# ---- CSV ----
CSV = {
    "types": "i,f,b,s,m,n\n1,1.5,True,a,1,\n-2,2,false,b c,,\n+30,1e3,TRUE, 7 ,3,\n",
    "quotes": 'q,a\n"two\nlines","a ""quoted"" word"\n"comma, inside",x\n"",""\n"a"b"c",d"e\n',
    "line_ends": 'a,b\r\n1,"x\r\ny"\r\n\r\n2,z\r\n',
    "carriage_returns": "a,b\r1,x\r2,y\r",
    "blank_lines": "a,b\n\n  \n1,x\n\t\n2,y\n\n",
    "no_last_line_end": "a,b\n1,x\n2,y",
    "short_rows": "a,b,c\n1,2,3\n4\n5,6\n",
    "nulls": "a,b,c\nNA,x,1\nn/a,NULL,2\n<NA>,None,3\n-nan,null,nan\n#N/A,NaN,5\n",
    "quoted_null": 'a,b\n"NA",1\n"x",2\n',
    "null_words_inside": "a\nNone of these\nNAN\nnone\nNa\nN A\n",
    "same_names": "a,a,b,a\n1,2,3,4\n",
    "unnamed": "a,,b,\n1,2,3,4\n",
    "big_numbers": "a,b\n9223372036854775807,18446744073709551615\n-9223372036854775808,1\n",
    "int_with_null": "a,b\n1,x\n,y\n3,z\n",
    "bool_with_null": "a,b\nTrue,x\n,y\nfalse,z\n",
    "all_null_column": "a,b\n,1\n,2\n",
    "padded_numbers": "a,b,c\n 1,2 , 3.5 \n 4,5 , 6 \n",
    "zero_padded": "zip,n\n00501,007\n10001,010\n",
    "mixed": "a,b\n1,True\nx,1\n2.5,False\n",
    "floats": "a,b,c,d\n.5,5.,-1e-3,1E5\n0.25,-0,2.5e+2,1e0\n",
    "infinity": "s\ninfx\ninf\n",
    "bom": "\ufeffa,b\n1,x\n",
    "unicode": "ключ,值\nдa,你好\n\u00a0,\u2028x\n",
    "quoted_header": '"a, b","c\nd"\n1,2\n',
    "spaces_kept": 'a,b\n" x ", y \n',
    "quote_after_space": 'a,b\n1, "x"\n2, "y"\n',
    "tabs": "a\tb\n1\tx y\n2\t\"t\tt\"\n",
    "underscores": "a\n1_000\n2_000\n",
    "hex": "a\n0x10\n0x20\n",
    "thousands": 'a\n"1,000"\n"2,000"\n',
    "dates": "d\n2024-01-02\n2024-02-03\n",
    "json_inside": 'messages\n"[{""role"": ""user"", ""content"": ""hi""}]"\n',
}


def plain(value):
    if isinstance(value, float) and (math.isnan(value) or math.isinf(value)):
        return None if math.isnan(value) else str(value)
    return value


def csv_goldens() -> None:
    goldens = []
    with tempfile.TemporaryDirectory() as folder:
        for name, text in CSV.items():
            ending = ".tsv" if name == "tabs" else ".csv"
            path = pathlib.Path(folder, name + ending)
            path.write_bytes(text.encode())
            try:
                data = datasets.load_dataset("csv", data_files=str(path), split="train", cache_dir=f"{folder}/cache",
                                             sep="\t" if name == "tabs" else ",")
                rows = [{key: plain(value) for key, value in row.items()} for row in data]
                goldens.append({"name": name, "ending": ending, "text": text, "rows": rows})
            except Exception as error:  # what datasets refuses is no golden; say so
                print(f"csv {name}: datasets refuses it: {type(error).__name__}: {str(error)[:200]}")
    write("csv.json", goldens)
    print(len(goldens), "CSV files")


# ---- splits ----
CARD = "---\nlicense: mit\nconfigs:\n{}\n---\n# A data set\n"
FOLDERS = {
    "one_file": (["data.jsonl"], ""),
    "by_name": (["train.jsonl", "test.jsonl", "validation.jsonl", "README.md"], ""),
    "other_names": (["training.jsonl", "dev.jsonl", "eval.jsonl"], ""),
    "val_in_name": (["my_train_set.jsonl", "my-val.jsonl", "x.test.jsonl", "contrain.jsonl", "train2.jsonl"], ""),
    "numbered": (["train_0.jsonl", "train_1.jsonl", "train_10.jsonl", "train_2.jsonl", "test_0.jsonl"], ""),
    "folders": (["train/a.jsonl", "train/deep/b.jsonl", "test/a.jsonl", "other/x.jsonl"], ""),
    "folders_in_data": (["data/train/a.jsonl", "data/validation/a.jsonl"], ""),
    "folder_words": (["train-v2/a.jsonl", "my dev/b.jsonl"], ""),
    "folders_before_files": (["train/a.jsonl", "test.jsonl"], ""),
    "shards": ([f"data/train-{i:05}-of-00003.jsonl" for i in range(3)] + ["data/test-00000-of-00001.jsonl"], ""),
    "shards_any_name": (["data/train_sft-00000-of-00001.jsonl", "data/test_gen-00000-of-00001.jsonl",
                         "data/train-00000-of-00001.jsonl"], ""),
    "shards_with_hash": (["data/train-00000-of-00001-a09b74b3ef9c3b56.jsonl"], ""),
    "shards_not_in_data": (["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"], ""),
    "shards_beside_others": (["data/train-00000-of-00001.jsonl", "dev.jsonl"], ""),
    "hidden": ([".hidden/train.jsonl", "__pycache__/train.jsonl", ".train.jsonl", "a.jsonl"], ""),
    "formats": (["a.jsonl", "b.jsonl", "c.csv", "notes.md", "script.py"], ""),
    "formats_draw": (["a.jsonl", "b.csv"], ""),
    "json_and_jsonl": (["a.json", "b.jsonl", "c.jsonl"], ""),
    "packed": (["train.jsonl.gz", "test.jsonl.gz"], ""),
    "infos": (["train.jsonl", "dataset_infos.json", "dataset_info.json", "config.json"], ""),
    "only_test": (["test.jsonl"], ""),
    "card_one": (["a/x.jsonl", "b/y.jsonl"], CARD.format("- config_name: main\n  data_files: a/*.jsonl")),
    "card_splits": (["a/x.jsonl", "b/y.jsonl", "b/z.jsonl"], CARD.format(
        "- config_name: main\n  data_files:\n  - split: train\n    path: b/*\n  - split: held_out\n    path:\n    - a/x.jsonl")),
    "card_two": (["a/x.jsonl", "b/y.jsonl"], CARD.format(
        "- config_name: one\n  data_files: a/*\n- config_name: two\n  data_files: b/*\n  default: true")),
    "card_no_default": (["a/x.jsonl", "b/y.jsonl"], CARD.format(
        "- config_name: one\n  data_files: a/*\n- config_name: two\n  data_files: b/*")),
    "card_named_default": (["a/x.jsonl", "b/y.jsonl"], CARD.format(
        "- config_name: one\n  data_files: a/*\n- config_name: default\n  data_files: b/*")),
    "card_dir": (["v1/train.jsonl", "v1/test.jsonl", "v2/train.jsonl"], CARD.format(
        "- config_name: v1\n  data_dir: v1\n- config_name: v2\n  data_dir: v2/")),
    "card_stars": (["x/a/1.jsonl", "x/b/c/2.jsonl", "x/3.jsonl"], CARD.format(
        "- config_name: main\n  data_files:\n  - split: train\n    path: x/**/*.jsonl\n  - split: test\n    path: '**/[0-2].jsonl'")),
    "card_order": (["1.jsonl", "2.jsonl", "3.jsonl"], CARD.format(
        "- config_name: main\n  data_files:\n  - split: train\n    path: [3.jsonl, 1.jsonl]")),
    "card_list": (["1.jsonl", "2.jsonl", "3.jsonl"], CARD.format("- config_name: main\n  data_files: [2.jsonl, 1.jsonl]")),
    "card_formats": (["a.csv", "b.jsonl"], CARD.format("- config_name: main\n  data_files: '*'")),
}


def split_goldens() -> None:
    goldens = []
    for name, (files, readme) in FOLDERS.items():
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve() / "set"
            for file in files:
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_text("{}" if "info" in file else '{"n": 1}\n')
            if readme:
                (root / "README.md").write_text(readme)
            configs = ["", *sorted({line.split(": ")[1] for line in readme.splitlines() if "config_name" in line})]
            for config in configs:
                golden = {"name": name, "files": files, "readme": readme, "config": config}
                try:
                    builder = datasets.load_dataset_builder(str(root), config or None, cache_dir=f"{folder}/cache")
                    golden["splits"] = [[str(split), [os.path.relpath(file, root) for file in found]]
                                        for split, found in builder.config.data_files.items() if found]
                except (ValueError, FileNotFoundError) as error:
                    golden["error"] = type(error).__name__
                    print(f"splits {name}/{config}: {type(error).__name__}: {str(error).splitlines()[0][:150]}")
                goldens.append(golden)
    write("splits.json", goldens)
    print(len(goldens), "folders")


# ---- tables ----
def as_json(value, nested=False):
    """What our rows hold for a Python value: see automodel/data/arrow_file.h."""
    if isinstance(value, dict):
        items = {key: as_json(item, True) for key, item in value.items()}
        return {key: item for key, item in items.items() if not nested or item is not None}
    if isinstance(value, (list, tuple)):
        return [as_json(item, True) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (decimal.Decimal, datetime.date, datetime.time, datetime.datetime)):
        return str(value)
    return value


CHATS = [
    {"id": 1, "messages": [{"role": "user", "content": "What is the weather?"},
                           {"role": "assistant", "content": "", "tool_calls": [
                               {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Oslo\"}"}}]},
                           {"role": "tool", "content": "sun", "tool_call_id": "c1"},
                           {"role": "assistant", "content": "Sunny ☀."}]},
    {"id": 2, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\n"},
                           {"role": "assistant", "content": "Hello", "reasoning_content": "greet"}]},
    {"id": 3, "messages": []},
]


def tables() -> dict:
    types = pyarrow.table({
        "i8": pyarrow.array([1, None, -3], pyarrow.int8()), "u64": pyarrow.array([1, 2**64 - 1, None], pyarrow.uint64()),
        "f16": pyarrow.array([0.5, 2.0, None], pyarrow.float16()), "f32": pyarrow.array([0.1, None, 3.0], pyarrow.float32()),
        "f64": [0.1, 1e300, None], "b": [True, False, None], "s": ["a", "", None], "none": pyarrow.nulls(3),
        "ls": pyarrow.array(["x", "y", None], pyarrow.large_string()), "bin": pyarrow.array([b"ab", b"", None]),
        "fsb": pyarrow.array([b"abc", b"def", None], pyarrow.binary(3)),
        "d32": pyarrow.array([datetime.date(2024, 2, 29), datetime.date(1, 1, 1), None]),
        "ts": pyarrow.array([datetime.datetime(2024, 1, 2, 3, 4, 5, 600), datetime.datetime(1969, 12, 31, 23, 59, 59), None],
                            pyarrow.timestamp("us")),
        "tsz": pyarrow.array([datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), None, None],
                             pyarrow.timestamp("ms", "UTC")),
        "t": pyarrow.array([datetime.time(1, 2, 3, 4), datetime.time(23, 59, 59), None], pyarrow.time64("us")),
        "dec": pyarrow.array([decimal.Decimal("1.50"), decimal.Decimal("-0.05"), None], pyarrow.decimal128(5, 2)),
        "dict": pyarrow.array(["p", "q", "p"]).dictionary_encode(),
        "list": [[1, None, 3], [], None], "ll": [[["a"], []], [], None],
        "struct": [{"a": 1, "b": None}, {"a": None, "b": "x"}, None],
        "map": pyarrow.array([[("k", 1), ("l", None)], [], None], pyarrow.map_(pyarrow.string(), pyarrow.int32())),
        "fsl": pyarrow.array([[1, 2], [3, 4], None], pyarrow.list_(pyarrow.int32(), 2)),
    })
    many = pyarrow.table({"n": list(range(1000)), "text": [f"row {i} " + "x" * (i % 7) for i in range(1000)],
                          "tags": [[f"t{j}" for j in range(i % 4)] for i in range(1000)]})
    return {"types": types, "chats": pyarrow.Table.from_pylist(CHATS), "many": many,
            "empty": pyarrow.table({"a": pyarrow.array([], pyarrow.int64())})}


def table_goldens() -> None:
    goldens = []

    def golden(file: str, table: pyarrow.Table) -> None:
        goldens.append({"file": file, "rows": [as_json(row) for row in table.to_pylist()] if table.num_rows < 100 else None,
                        "count": table.num_rows})

    for name, table in tables().items():
        for codec in {"many": ["snappy", "zstd", "gzip", "lz4", "brotli", "none"]}.get(name, ["snappy"]):
            file = f"{name}.{codec}.parquet"
            if name == "types":  # what Arrow does not write to Parquet, or not read back
                table = table.drop_columns([column for column in ("f16", "fsl") if column in table.column_names])
            pyarrow.parquet.write_table(table, OUT / file, compression=codec, row_group_size=300 if name == "many" else 2,
                                        data_page_version="2.0" if codec == "zstd" else "1.0")
            golden(file, table)
    for name, table in tables().items():
        for kind, codec in (("file", None), ("stream", None)) + ((("file", "lz4"), ("stream", "zstd")) if name == "many" else ()):
            file = f"{name}.{kind}{'.' + codec if codec else ''}.arrow"
            options = pyarrow.ipc.IpcWriteOptions(compression=codec, emit_dictionary_deltas=kind == "stream")
            make = pyarrow.ipc.new_file if kind == "file" else pyarrow.ipc.new_stream
            with make(str(OUT / file), table.schema, options=options) as writer:
                writer.write_table(table, max_chunksize=250)
            golden(file, table)
    with tempfile.TemporaryDirectory() as folder:  # Hugging Face's own cache file
        path = pathlib.Path(folder, "chats.jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in CHATS))
        data = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=f"{folder}/cache")
        cached = pathlib.Path(data.cache_files[0]["filename"])
        (OUT / "hf_cache.arrow").write_bytes(cached.read_bytes())
        golden("hf_cache.arrow", pyarrow.Table.from_pylist(CHATS))
        (OUT / "chats.jsonl").write_bytes(path.read_bytes())
    write("tables.json", goldens)
    print(len(goldens), "tables,", sum(file.stat().st_size for file in OUT.iterdir()), "bytes in all")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    csv_goldens()
    split_goldens()
    table_goldens()
