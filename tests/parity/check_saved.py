"""Loads a folder that automodel saved in transformers (or an adapter in PEFT) and compares logits with given ones.

    python tests/parity/check_saved.py --model DIR --batch B.json --logits L.safetensors [--adapter DIR] [--merged]
                                       [--dtype float32] [--tolerance 1e-5]

DIR is a whole model folder; with --adapter it is the base, and the adapter's folder is put on it (and with --merged merged into
it). B.json and L.safetensors ("logits" [T, V]) are as `automodel score` reads and writes them; documents run one by one.
Held: from_pretrained finds every weight and no unknown one, and max|a - b| <= tolerance max|b| + 1e-7. Also that AutoConfig, and
AutoTokenizer and GenerationConfig where their files are there, load. Prints one JSON line; exit code 0 or 1.
"""

import argparse
import json
import os
import pathlib
import sys

os.environ["HF_HUB_OFFLINE"] = "1"

import safetensors.torch
import torch
import transformers

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load(arguments):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        arguments.model, dtype=getattr(torch, arguments.dtype), attn_implementation="eager", output_loading_info=True)
    faults = {k: sorted(map(str, info[k])) for k in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(k)}
    if arguments.adapter:
        import warnings

        import peft
        warnings.filterwarnings("ignore", category=UserWarning, module="peft")  # it looks for the base by name on the Hub
        saved = safetensors.torch.load_file(arguments.adapter / "adapter_model.safetensors")
        model = peft.PeftModel.from_pretrained(model, arguments.adapter)
        known = peft.get_peft_model_state_dict(model)
        if saved.keys() != known.keys():
            faults["adapter_keys"] = sorted(saved.keys() ^ known.keys())
        elif wrong := [n for n in saved if not torch.equal(saved[n].float(), known[n].float())]:
            faults["adapter_values"] = wrong
        if arguments.merged:
            model = model.merge_and_unload()
    return model.eval(), faults


def check_companions(folder):
    loaded = ["config"]
    transformers.AutoConfig.from_pretrained(folder)
    if (folder / "generation_config.json").exists():
        transformers.GenerationConfig.from_pretrained(folder)
        loaded.append("generation_config")
    if (folder / "tokenizer_config.json").exists() or (folder / "tokenizer.json").exists():
        transformers.AutoTokenizer.from_pretrained(folder)
        loaded.append("tokenizer")
    return loaded


@torch.no_grad()
def logits_of(model, documents):
    rows = []
    for document in documents:
        rows.append(model(input_ids=torch.tensor([document["input_ids"]]), use_cache=False).logits[0].float())
    return torch.cat(rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--adapter", type=pathlib.Path)
    parser.add_argument("--merged", action="store_true")
    parser.add_argument("--batch", type=pathlib.Path, required=True)
    parser.add_argument("--logits", type=pathlib.Path, required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    arguments = parser.parse_args()
    model, faults = load(arguments)
    companions = check_companions(arguments.model)
    theirs = logits_of(model, json.loads(arguments.batch.read_text())["documents"])
    ours = safetensors.torch.load_file(arguments.logits)["logits"].float()
    if theirs.shape != ours.shape:
        faults["shape"] = [list(theirs.shape), list(ours.shape)]
        difference = largest = None
    else:
        difference, largest = (theirs - ours).abs().max().item(), theirs.abs().max().item()
        if not difference <= arguments.tolerance * largest + 1e-7:
            faults["logits"] = f"max|a - b| = {difference:.3e}, max|b| = {largest:.3e}"
    print(json.dumps({"ok": not faults, "faults": faults, "difference": difference, "largest": largest, "loaded": companions}))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
