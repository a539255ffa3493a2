"""What the golden makers share: random checkpoints in HF form, and transformers run on documents one by one.

The reference is transformers' own code in float64 on the float32 (or rounded bf16, fp16) weights: modules that force float32 (norms,
softmax, rope) are made to compute in float64 too, so that a golden value is exact to float32's last digit. The same run in
plain float32 gives the error that transformers itself has, which the makers print against the tests' bound.
"""

import contextlib
import copy
import json
import os
import pathlib
import re
import zlib

os.environ["HF_HUB_OFFLINE"] = "1"  # everything is in the repository

import numpy
import safetensors.torch
import torch
import torch.nn.functional as F
import transformers
from torch.overrides import TorchFunctionMode

IGNORED = -100
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = REPOSITORY / "tests" / "parity" / "golden"

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(2)


class DoubleEverywhere(TorchFunctionMode):
    """Replaces float32 by float64 wherever code asks for it by name."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        swap = lambda value: torch.float64 if value is torch.float32 else value
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        return func(*[swap(a) for a in args], **{k: swap(v) for k, v in (kwargs or {}).items()})


def random_values(name, shape, seed):
    """A float32 tensor that depends on its name and the seed only, of a size at which activations stay near 1."""
    numbers = numpy.random.default_rng([seed, zlib.crc32(name.encode())])
    values = torch.from_numpy(numbers.standard_normal(tuple(shape)).astype(numpy.float32))
    if len(shape) == 1:
        return 0.2 * values
    if "wte" in name or "wpe" in name:
        return 0.3 * values  # two that add up, and the first is gpt2's head too
    inputs = shape[0] if re.search(r"\.c_(attn|fc|proj)\.weight$", name) else shape[-1]  # gpt2 stores the transpose
    return values * (0.7 if "embed" in name else inputs ** -0.5)


def randomize(model, seed):
    """Gives every parameter random values, norms about their neutral value; none is 0 or 1."""
    ones = {f"{m}.weight" for m, module in model.named_modules() if "Norm" in type(module).__name__ and "Gemma" not in type(module).__name__}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = random_values(name, parameter.shape, seed) + (1.0 if name in ones else 0.0)
            values = torch.where((values - 1).abs() < 0.01, values + 0.02, values)  # nor may bf16 round a value to 1
            values = torch.where(values.abs() < 1e-4, torch.full_like(values, 1e-3), values)
            assert not ((values == 0) | (values == 1)).any(), name
            parameter.copy_(values)


def make_documents(vocab, seed, lengths=(1, 7, 19, 33, 40)):
    """Uneven documents in which every id occurs; labels are next tokens, here and there an ignored or an unrelated one."""
    numbers = numpy.random.default_rng([seed, 77])
    total = sum(lengths)
    assert total >= vocab
    ids = numpy.concatenate([numbers.permutation(vocab), numbers.integers(0, vocab, total - vocab)])
    ids = numbers.permutation(ids)
    documents, start = [], 0
    for length in lengths:
        part = ids[start:start + length].tolist()
        labels = part[1:] + [int(numbers.integers(0, vocab))]  # the last target is outside the document: labels are already shifted
        if length >= 7:
            for position in range(length // 4):
                labels[position] = IGNORED  # a prompt
            labels[int(numbers.integers(length // 4, length))] = IGNORED
        documents.append({"input_ids": part, "labels": labels})
        start += length
    return documents


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def save_checkpoint(folder, config, tensors, dtype=torch.float32, shards=1):
    """config.json and safetensors as on the Hub."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*"):
        if old.is_file():
            old.unlink()
    write_json(folder / "config.json", config)
    tensors = {name: t.detach().to(dtype).contiguous().clone() for name, t in tensors.items()}
    if shards == 1:
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, weight_map = sorted(tensors), {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        mine = names[shard::shards]
        weight_map |= {name: file for name in mine}
        safetensors.torch.save_file({n: tensors[n] for n in mine}, folder / file, metadata={"format": "pt"})
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": dict(sorted(weight_map.items()))})


def load_model(folder, attention="eager"):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention).eval()


def rotary_owner(model):
    return next((m for m in model.modules() if hasattr(m, "rotary_emb")), None)


def run_documents(model, documents, backward=True):
    """Logits [T, V], the mean loss over trained labels, log p(label) [T] (0 where ignored); gradients are left in the parameters.

    Each document is a batch of one without padding. The rope module is put back before each: transformers' dynamic scaling
    keeps the frequencies of the longest document seen, which would make a result depend on the order of the documents."""
    trained = sum(label != IGNORED for d in documents for label in d["labels"])
    owner = rotary_owner(model)
    fresh = copy.deepcopy(owner.rotary_emb) if owner is not None else None
    logits, logprobs, loss = [], [], 0.0
    for document in documents:
        if fresh is not None:
            owner.rotary_emb = copy.deepcopy(fresh)
        ids, labels = torch.tensor([document["input_ids"]]), torch.tensor(document["labels"])
        out = model(input_ids=ids, use_cache=False).logits[0]
        part = F.cross_entropy(out, labels, ignore_index=IGNORED, reduction="sum") / trained
        if backward:
            part.backward()
        loss += part.item()
        logits.append(out.detach())
        chosen = F.log_softmax(out.detach(), -1).gather(1, labels.clamp(min=0)[:, None])[:, 0]
        logprobs.append(torch.where(labels == IGNORED, torch.zeros_like(chosen), chosen))
    if fresh is not None:
        owner.rotary_emb = fresh
    return torch.cat(logits), loss, torch.cat(logprobs)


def reference(model, documents):
    """The golden tensors of a float32 model: float64 results, and the largest error of float32 in units of the bound."""
    def collect(m):
        m.zero_grad(set_to_none=True)
        logits, loss, logprobs = run_documents(m, documents)
        found = {"logits": logits, "loss": torch.tensor([loss], dtype=torch.float64), "logprobs": logprobs}
        found |= {n: p.grad for n, p in m.named_parameters() if p.grad is not None}
        return {n: t.detach().double() for n, t in found.items()}

    single = collect(model)
    double = copy.deepcopy(model).double()
    for module in double.modules():  # float64 and the check for float32 in this branch exclude each other; the formula is the same
        if getattr(module, "reorder_and_upcast_attn", False):
            module.reorder_and_upcast_attn = False
    with DoubleEverywhere():
        exact = collect(double)
    assert single.keys() == exact.keys()
    worst = {n: error_in_bounds(single[n], exact[n]) for n in exact}
    return {n: t.float().contiguous() for n, t in exact.items()}, worst


def error_in_bounds(a, b):
    """max|a - b| / (1e-5 max|b| + 1e-7): 1 is what the tests allow."""
    return ((a - b).abs().max() / (1e-5 * b.abs().max() + 1e-7)).item()


def report(case, worst, folder):
    name = max(worst, key=worst.get)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{case:28s} {size / 1024:6.0f} KB   transformers' own fp32 is off by {worst[name]:.3f} of the bound ({name})", flush=True)


@contextlib.contextmanager
def seeded(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
