"""Writes automodel/tokenizer/testdata/classes.json: what transformers 5.17's AutoTokenizer answers for the small tokenizers under several
tokenizer classes and settings. Run after make_tokenizer_goldens.py.

    python tools/make_tokenizer_class_goldens.py automodel/tokenizer/testdata
"""
import json
import pathlib
import sys
import tempfile

from transformers import AutoTokenizer

TEXTS = ["Hello world", " Hello  world. Don't you ?", "<s>Hi </s> there", "a<|end|>  b<mask> c", "naïve e\u0301 世界 1234", "", "\n x\n"]
SETUPS = [
    ("sentencepiece", "llama", {"tokenizer_class": "LlamaTokenizer"}),
    ("sentencepiece", "llama", {"tokenizer_class": "LlamaTokenizerFast", "legacy": True}),
    ("sentencepiece", "llama", {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False, "pad_token": "<|end|>"}),
    ("sentencepiece", "mistral", {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "add_eos_token": True}),
    ("sentencepiece", "gemma3_text", {"tokenizer_class": "GemmaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
    ("byte_level", "llama", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "clean_up_tokenization_spaces": True}),
    ("byte_level", "qwen3", {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|end|>", "pad_token": "</s>", "additional_special_tokens": ["<new>"]}),
    ("byte_level", "qwen2", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>"}),
    ("byte_level", "gpt2", {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True, "eos_token": {"__type": "AddedToken", "content": "<|end|>", "lstrip": True}}),
    ("byte_level", "gpt_neox", {"tokenizer_class": "GPTNeoXTokenizer", "bos_token": "<s>", "eos_token": "</s>"}),
    ("byte_level", "llama", {"tokenizer_class": "PreTrainedTokenizerFast", "added_tokens_decoder": {
        "700": {"content": "world", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False, "special": True}}}),
    ("word_piece", "llama", {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": True, "unk_token": "[UNK]"}),
]


def main():
    folder = pathlib.Path(sys.argv[1])
    rows = []
    for name, model_type, config in SETUPS:
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            (scratch / "tokenizer.json").write_text((folder / f"{name}.json").read_text(encoding="utf-8"), encoding="utf-8")
            (scratch / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
            (scratch / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
            tokenizer = AutoTokenizer.from_pretrained(scratch)
        cases = []
        for text in TEXTS + ["a <new> b"]:
            ids = tokenizer(text)["input_ids"]
            cases.append({"text": text, "plain": tokenizer(text, add_special_tokens=False)["input_ids"], "ids": ids,
                          "decoded": tokenizer.decode(ids), "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
        rows.append({"file": name, "model_type": model_type, "config": config, "class": type(tokenizer).__name__, "size": len(tokenizer),
                     "bos": [tokenizer.bos_token, tokenizer.bos_token_id], "eos": [tokenizer.eos_token, tokenizer.eos_token_id],
                     "pad": [tokenizer.pad_token, tokenizer.pad_token_id], "cases": cases})
    (folder / "classes.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
