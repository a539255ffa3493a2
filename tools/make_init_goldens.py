"""Writes tests/parity/golden/init.json: what transformers' initialisation from a config alone gives each parameter.

    python tools/make_init_goldens.py

Per family: the config, and per parameter its shape, mean, std, lowest and highest value, and the rows that are all zero where
only some are (the padding row of an embedding). Of a random tensor of n values, mean and std of another seed lie within
about 5 std / sqrt(n) and 5 std / sqrt(2 n) of these.
"""

import json
import tempfile
import pathlib

import torch
import transformers

import parity_cases as cases
import parity_oracle as oracle

WIDE = dict(vocab_size=512, hidden_size=256, intermediate_size=320, max_position_embeddings=128, num_hidden_layers=2, initializer_range=0.03)

CONFIGS = {
    "llama": cases.llama(**WIDE, attention_bias=True, mlp_bias=True, pad_token_id=7),
    "mistral": cases.mistral(**WIDE | {"initializer_range": 0.01}),
    "qwen2": cases.qwen2(**WIDE),
    "qwen3": cases.qwen3(**WIDE, attention_bias=True),
    "phi3": cases.phi3(**WIDE),
    "gemma2": cases.gemma2(**WIDE | {"num_hidden_layers": 3}),
    "gemma3_text": cases.gemma3(**WIDE | {"num_hidden_layers": 3}),
    "gpt2": cases.gpt2(vocab_size=512, n_embd=256, n_positions=128, n_ctx=128, n_layer=3, initializer_range=0.04),
}


def statistics(tensor):
    t = tensor.detach().double()
    found = {"shape": list(t.shape), "mean": t.mean().item(), "std": t.std(correction=0).item(), "min": t.min().item(), "max": t.max().item()}
    if t.dim() == 2 and found["std"] > 0:
        zero = (t == 0).all(1).nonzero().flatten().tolist()
        if zero:
            found["zero_rows"] = zero
    return found


def main():
    record = {}
    for family, config in CONFIGS.items():
        with tempfile.TemporaryDirectory() as folder, oracle.seeded(11):
            oracle.write_json(pathlib.Path(folder) / "config.json", config)
            loaded = transformers.AutoConfig.from_pretrained(folder)
            model = transformers.AutoModelForCausalLM.from_config(loaded, dtype=torch.float32)
        record[family] = {"config": config, "parameters": {n: statistics(p) for n, p in model.named_parameters()}}
    lines = [f'"{f}": {{"config": {json.dumps(r["config"])},\n "parameters": {{\n  ' +
             ",\n  ".join(f"{json.dumps(n)}: {json.dumps(s)}" for n, s in r["parameters"].items()) + "}}" for f, r in record.items()]
    (oracle.GOLDEN / "init.json").write_text("{" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
