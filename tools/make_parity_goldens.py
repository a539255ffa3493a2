"""Writes tests/parity/golden/CASE: a random tiny checkpoint, a batch, and what transformers computes from them.

    python tools/make_parity_goldens.py [CASE ...]

golden.safetensors: logits [T, V], loss [1], logprobs [T] (0 where the label is ignored), and the gradient of the mean loss of
every parameter under its state dict name, all float32, rounded from float64.
"""

import sys

import safetensors.torch
import torch
import transformers

import parity_oracle as oracle
from parity_cases import CASES, LENGTHS, VOCAB


def old_names(tensors, kind, model):
    """Spellings of files that are older than the model's code."""
    if kind == "inv_freq":
        inverse = model.model.rotary_emb.inv_freq
        return tensors | {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": inverse for i in range(model.config.num_hidden_layers)}
    if kind == "gpt2":
        n = model.config.n_positions
        tensors = {name.removeprefix("transformer."): t for name, t in tensors.items()}
        return tensors | {f"h.{i}.attn.bias": torch.tril(torch.ones(n, n)).view(1, 1, n, n) for i in range(model.config.n_layer)}
    return tensors


def make(case, seed):
    spec, folder = CASES[case], oracle.GOLDEN / case
    folder.mkdir(parents=True, exist_ok=True)
    oracle.write_json(folder / "config.json", spec["config"])
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    oracle.randomize(model, seed)
    tensors = dict(model.named_parameters())  # a tied head is stored once
    oracle.save_checkpoint(folder, spec["config"], old_names(tensors, spec.get("rename"), model),
                           getattr(torch, spec.get("dtype", "float32")), spec.get("shards", 1))
    documents = oracle.make_documents(VOCAB, seed, LENGTHS)
    (folder / "batch.json").write_text(oracle.json.dumps({"documents": documents}) + "\n")
    loaded = oracle.load_model(folder)
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, tensors[name].to(getattr(torch, spec.get("dtype", "float32"))).float()), name
    golden, worst = oracle.reference(loaded, documents)
    assert {n for n, _ in loaded.named_parameters()} <= golden.keys()
    if spec.get("sdpa", True):
        sdpa = oracle.run_documents(oracle.load_model(folder, "sdpa"), documents, backward=False)[0]
        assert oracle.error_in_bounds(sdpa, golden["logits"]) < 1, "sdpa and eager attention disagree"
    safetensors.torch.save_file(golden, folder / "golden.safetensors")
    oracle.report(case, worst, folder)


def main():
    for seed, case in enumerate(CASES, start=1):
        if len(sys.argv) == 1 or case in sys.argv[1:]:
            make(case, seed)


if __name__ == "__main__":
    main()
