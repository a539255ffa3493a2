"""PEFT adapters on the tiny checkpoints of tests/parity: which exist, and how they are made and named."""

import copy
import json
import warnings

import peft
import torch

import parity_oracle as oracle

warnings.filterwarnings("ignore", category=UserWarning, module="peft")

LLAMA_ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VARIANTS = {"lora": {}, "rslora": {"use_rslora": True}, "dora": {"use_dora": True}}

# base case -> target modules of each variant
TARGETS = {
    "llama": {"lora": ["q_proj", "v_proj"], "rslora": LLAMA_ALL, "dora": LLAMA_ALL},
    "qwen2": {"lora": ["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"], "rslora": ["k_proj", "up_proj"], "dora": LLAMA_ALL},
    "phi3": {v: ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"] for v in VARIANTS},
    "gpt2": {v: ["c_attn", "c_proj", "c_fc"] for v in VARIANTS},
}


def adapter_case(base, variant):
    return f"lora_{base}_{variant}"


def make_adapter(base, variant, seed):
    """A base checkpoint of tests/parity with a fresh adapter whose every value, B and magnitude too, is random."""
    config = peft.LoraConfig(r=4, lora_alpha=16, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM", fan_in_fan_out=base == "gpt2",
                             target_modules=TARGETS[base][variant], **VARIANTS[variant])
    model = peft.get_peft_model(oracle.load_model(oracle.GOLDEN / base), config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            values = oracle.random_values(saved_name(name), parameter.shape, seed)
            if "magnitude" in name:
                parameter.mul_(1 + 0.5 * values)  # starts as the norms of the rows
            else:
                parameter.copy_(values * 0.3)
            assert not ((parameter == 0) | (parameter == 1)).any()
    return model


def saved_name(name):
    """A parameter's name in adapter_model.safetensors: the adapter's own name left out."""
    name = name.replace("lora_magnitude_vector.default.weight", "lora_magnitude_vector")
    return name.replace(".default.", ".")


def save_adapter(model, folder, base):
    model.peft_config["default"].base_model_name_or_path = base  # a name in the golden folder, no path of this machine
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    if isinstance(config["target_modules"], list):  # PEFT writes a set, in the order of the day
        config["target_modules"].sort()
    oracle.write_json(folder / "adapter_config.json", config)


def load_adapter(folder, base):
    return peft.PeftModel.from_pretrained(oracle.load_model(oracle.GOLDEN / base), folder, is_trainable=True).eval()


def merged(model):
    return copy.deepcopy(model).merge_and_unload()
