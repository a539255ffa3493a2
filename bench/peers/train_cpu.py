"""The CPU training peer: transformers and torch on the same work as our run of bench/, in one process per row.

    python bench/peers/train_cpu.py --row one --steps 5                     one document of 2,048 tokens
    python bench/peers/train_cpu.py --row sixteen --steps 5                 16 documents of 128, as a batch of 16
    python bench/peers/train_cpu.py --row chats --tokens IDS.jsonl          documents from a file, padded to the longest of a batch
    python bench/peers/train_cpu.py --write-model DIR                       config.json of the model of all rows
    python bench/peers/train_cpu.py --row one --write-tokens IDS.jsonl      the row's documents, for our side to read

The model is Qwen3-shaped, 26M parameters in fp32: hidden 384, 8 layers, 6 query and 2 key heads of 64, MLP 1,152, vocabulary
32,000, tied. A step is forward, loss (the next token of every trained position), backward, torch's fused AdamW; no clipping.
IDS.jsonl has one document a line: {"input_ids": [...], "labels": [...]}, labels[t] the target of position t, -100: not trained;
or a bare list of ids. --model DIR starts from a saved folder instead of a seeded initialisation, so that losses can be compared.

Prints one JSON object. tokens_per_s counts real tokens (no padding) over the median step; padded_tokens_per_s what was computed.
peak_rss_mib is the highest resident size over all steps minus that of the process before the model was made.
"""

import argparse
import json
import pathlib
import resource
import statistics
import time

import numpy
import torch
import torch.nn.functional as F
import transformers

IGNORED = -100
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 32000, "hidden_size": 384, "intermediate_size": 1152,
    "num_hidden_layers": 8, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 64, "hidden_act": "silu",
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "attention_bias": False, "attention_dropout": 0.0,
    "initializer_range": 0.02, "tie_word_embeddings": True, "use_sliding_window": False, "torch_dtype": "float32",
}


def random_documents(count, length):
    numbers = numpy.random.default_rng(1)
    rows = numbers.integers(0, CONFIG["vocab_size"], (count, length + 1)).tolist()
    return [{"input_ids": row[:-1], "labels": row[1:]} for row in rows]


def read_documents(path):
    documents = []
    for line in path.read_text().splitlines():
        value = json.loads(line)
        if isinstance(value, list):
            value = {"input_ids": value, "labels": value[1:] + [IGNORED]}
        documents.append(value)
    return documents


def make_batches(arguments):
    """Lists of documents; a batch is padded on the right to its longest."""
    if arguments.row == "one":
        return [random_documents(1, 2048)]
    if arguments.row == "sixteen":
        return [random_documents(16, 128)]
    documents = read_documents(arguments.tokens)
    size = arguments.batch_size
    return [documents[i:i + size] for i in range(0, len(documents) - size + 1, size)]


def collate(batch):
    longest = max(len(d["input_ids"]) for d in batch)
    pad = lambda values, fill: values + [fill] * (longest - len(values))
    ids = torch.tensor([pad(d["input_ids"], 0) for d in batch])
    labels = torch.tensor([pad(d["labels"], IGNORED) for d in batch])
    if all(len(d["input_ids"]) == longest for d in batch):
        return ids, labels, None  # nothing is padded: sdpa takes its causal path without a mask
    mask = torch.tensor([pad([1] * len(d["input_ids"]), 0) for d in batch])
    return ids, labels, mask


def resident_mib():
    fields = pathlib.Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() / 2**20


def highest_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_model(arguments):
    if arguments.model:
        return transformers.AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32, attn_implementation=arguments.attention)
    torch.manual_seed(1)
    config = transformers.Qwen3Config(**{k: v for k, v in CONFIG.items() if k not in ("architectures", "torch_dtype")})
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation=arguments.attention)


def train(arguments):
    batches = make_batches(arguments)
    transformers.models.qwen3.modeling_qwen3  # imported before the memory is read, as it is code and not work
    before = resident_mib()
    model = make_model(arguments).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    seconds, losses, real, computed, trained = [], [], [], [], []
    for step in range(arguments.warmup + arguments.steps):
        batch = batches[step % len(batches)]
        ids, labels, mask = collate(batch)
        started = time.perf_counter()
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), labels.view(-1), ignore_index=IGNORED)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        del logits, loss
        if step >= arguments.warmup:
            seconds.append(time.perf_counter() - started)
            real.append(sum(len(d["input_ids"]) for d in batch))
            computed.append(ids.numel())
            trained.append(sum(label != IGNORED for d in batch for label in d["labels"]))
    middle = lambda amounts: round(statistics.median(a / s for a, s in zip(amounts, seconds)), 1)
    return {
        "peer": "transformers", "transformers": transformers.__version__, "torch": torch.__version__, "row": arguments.row,
        "attention": arguments.attention, "threads": torch.get_num_threads(), "parameters": sum(p.numel() for p in model.parameters()),
        "steps": arguments.steps, "tokens_per_s": middle(real), "trained_tokens_per_s": middle(trained),
        "padded_tokens_per_s": middle(computed), "tokens_per_s_overall": round(sum(real) / sum(seconds), 1), "step_s": round(statistics.median(seconds), 4),
        "peak_rss_mib": round(highest_mib() - before, 1), "rss_before_mib": round(before, 1), "losses": [round(value, 6) for value in losses],
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--row", choices=("one", "sixteen", "chats"), default="one")
    parser.add_argument("--tokens", type=pathlib.Path, help="documents of the row chats")
    parser.add_argument("--batch-size", type=int, default=16, help="documents a step of the row chats")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--model", type=pathlib.Path)
    parser.add_argument("--write-model", type=pathlib.Path)
    parser.add_argument("--write-tokens", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.row == "chats" and not arguments.tokens:
        parser.error("--row chats needs --tokens")
    torch.set_num_threads(arguments.threads)
    if arguments.write_tokens:
        arguments.write_tokens.write_text("".join(json.dumps(d) + "\n" for b in make_batches(arguments) for d in b))
        return
    if arguments.write_model:
        make_model(arguments).save_pretrained(arguments.write_model)
        return
    print(json.dumps(train(arguments)))


if __name__ == "__main__":
    main()
