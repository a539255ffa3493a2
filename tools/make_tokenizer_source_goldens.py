"""Makes small tokenizers in every file format but tokenizer.json, with golden cases, in automodel/tokenizer/testdata/sources. Run after
make_tokenizer_goldens.py.

    python tools/make_tokenizer_source_goldens.py automodel/tokenizer/testdata

NAME.model (SentencePiece, trained here), ranks.model (tiktoken's format), tekken.json, vocab.json with merges.txt, vocab.txt, word_ends.json; cases.json: texts, and a
list of setups {kind, files or file, model_type, config, ..., cases} (see cases_of). Kind "auto": a folder of `files` (name there -> name here) and the given JSON files, as
transformers' AutoTokenizer reads it. Other kinds: one file, by its own library (tools/tokenizer_oracle.py). The training text is our own.
"""
import base64
import io
import json
import pathlib
import shutil
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2

import make_tokenizer_goldens as small
import tokenizer_oracle as oracle

TEXTS = ["Hello world", " Hello  world. Don't you ?", "<s>Hi </s> there", "a<|end|>  b<mask> c<sep>d", "naïve e\u0301 世界 1234", "", " ", "\n x\n\n",
         "Ｆｕｌｌ\tｗｉｄｔｈ ﬁ", "😀 мир \x00\u200b", "word words  wording   ", "▁ ▁a", "\U0001e5d0\U00016d40\u1c89", "x" * 80, "<extra_id_0> Straße<unk>",
         "a\t\u0344 <mask>b  <mask> \u0344<mask>\u3000<mask>",
         "<|startofprev|>before<|startoftranscript|><|0.00|> Hello <|1.50|><|2.|><|.5|><||><|12.5|", "<|startofprev|> Hello<|0.00|>",
         "<|\u0663.\uff119|>a<|\u00b2.1|><|<|0.5|>0.1|>"]


def bytes_of_character():
    table, extra = {}, 256
    for b in range(256):
        if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174:
            table[chr(b)] = b
        else:
            table[chr(extra)] = b
            extra += 1
    return table


def train(path, **options):
    lines = [line for line in small.TEXT.split("\n") if line.strip()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, minloglevel=2, num_threads=1,
                                             hard_vocab_limit=False, **options)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return proto


def make_sentencepieces(folder):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in [("Ｆ", "F"), ("ｕ", "u"), ("ｌ", "l"), ("ｗ", "w"), ("ﬁ", "fi"), ("\t", " "), ("e\u0301", "é"), ("\u3000", " "), ("\u200b", "")]:
            rules.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
        rules.flush()
        train(folder / "bpe.model", model_type="bpe", vocab_size=700, byte_fallback=True, normalization_rule_name="identity",
              remove_extra_whitespaces=False, user_defined_symbols=["<sep>", "  ", "word"], control_symbols=["<ctl>"], character_coverage=0.98)
        train(folder / "unigram.model", model_type="unigram", vocab_size=300, normalization_rule_tsv=rules.name, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
              user_defined_symbols=["<sep>", "wor"], character_coverage=0.98)
        train(folder / "bytes.model", model_type="unigram", vocab_size=500, normalization_rule_name="identity", byte_fallback=True,
              add_dummy_prefix=False, remove_extra_whitespaces=False, character_coverage=0.98)
        suffix = train(folder / "suffix.model", model_type="bpe", vocab_size=250, normalization_rule_tsv=rules.name, treat_whitespace_as_suffix=True,
                       character_coverage=0.98)
    for piece in suffix.pieces[40:60]:
        if len(piece.piece) > 1:
            piece.type = 5
    (folder / "suffix.model").write_bytes(suffix.SerializeToString(deterministic=True))


def make_ranks(folder, byte_level):
    table = bytes_of_character()
    tokens = [bytes([b]) for b in range(256)]
    for merge in byte_level["model"]["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        token = bytes(table[c] for c in left + right)
        if token not in tokens:
            tokens.append(token)
    (folder / "ranks.model").write_text("".join(f"{base64.b64encode(t).decode()} {i}\n" for i, t in enumerate(tokens)))
    pattern = byte_level["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    special = [{"rank": i, "token_str": t, "is_control": True} for i, t in enumerate(["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>"])]
    vocab = [{"rank": i, "token_bytes": base64.b64encode(t).decode(), "token_str": None} for i, t in enumerate(tokens)]
    config = {"pattern": pattern, "num_vocab_tokens": len(tokens), "default_vocab_size": len(tokens) + 5, "default_num_special_tokens": 10, "version": "v7"}
    (folder / "tekken.json").write_text(json.dumps({"config": config, "vocab": vocab, "special_tokens": special}) + "\n")


def make_vocabularies(folder, byte_level, word_piece):
    (folder / "vocab.json").write_text(json.dumps(byte_level["model"]["vocab"]) + "\n", encoding="utf-8")
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in byte_level["model"]["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    words = sorted(word_piece["model"]["vocab"], key=word_piece["model"]["vocab"].get)
    (folder / "vocab.txt").write_text("\n".join(words[:300] + ["  "] + words[300:]) + "\n", encoding="utf-8")


def make_word_ends(folder):
    """word_ends.json: a BPE whose last piece of a word ends in </w>, over ByteLevel's alphabet: what CLIP, GPT-1 and HerBERT are made of."""
    import tokenizers
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    made.normalizer = tokenizers.normalizers.Lowercase()
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence([tokenizers.pre_tokenizers.WhitespaceSplit(), tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)])
    made.train_from_iterator(small.TEXT.split("\n"), tokenizers.trainers.BpeTrainer(
        vocab_size=900, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>",
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    content = json.loads(made.to_str())
    (folder / "word_ends.json").write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")


def further_setups():
    words, unigram, bytes_, pieces = ({"tokenizer.json": name} for name in ["word_ends.json", "../unigram.json", "../byte_level.json", "../word_piece.json"])
    spm = {"tokenizer.json": "../sentencepiece.json"}
    yield words, "openai-gpt", None
    yield words, "openai-gpt", {"tokenizer_class": "OpenAIGPTTokenizer", "unk_token": "<unk>", "pad_token": "<pad>", "additional_special_tokens": ["<|end|>"]}
    yield words, "clip", None
    yield words, "clip", {"tokenizer_class": "CLIPTokenizerFast", "unk_token": "<unk>", "eos_token": "</s>", "bos_token": "<s>", "pad_token": "<pad>"}
    yield words, "herbert", {"tokenizer_class": "HerbertTokenizerFast"}
    yield bytes_, "whisper", {"added_tokens_decoder": {str(700 + i): {"content": t, "special": True, "normalized": False} for i, t in enumerate(
        ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|notimestamps|>"])}}
    yield bytes_, "whisper", {"tokenizer_class": "WhisperTokenizer", "add_prefix_space": True, "predict_timestamps": True, "extra_special_tokens": ["<|startoftranscript|>", "<|notimestamps|>"]}
    yield bytes_, "whisper", {"added_tokens_decoder": {str(700 + i): {"content": t, "special": t[2] != "0", "normalized": False} for i, t in enumerate(
        ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>", "<|transcribe|>", "<|notimestamps|>", "<|startofprev|>", "<|0.00|>", "<|1.50|>"])}}
    yield bytes_, "blenderbot", None
    yield bytes_, "blenderbot", {"tokenizer_class": "BlenderbotTokenizer", "add_prefix_space": False, "bos_token": "<s>", "add_bos_token": True}
    yield spm, "reformer", None
    yield spm, "reformer", {"tokenizer_class": "ReformerTokenizer", "additional_special_tokens": ["<|end|>"]}
    for model_type, name, config in [
            ("albert", "AlbertTokenizer", {"do_lower_case": False, "keep_accents": True, "cls_token": "<s>", "sep_token": "</s>"}),
            ("xglm", "XGLMTokenizer", {"additional_special_tokens": ["<|end|>", "<madeupword3>"], "add_prefix_space": False}),
            ("xlnet", "XLNetTokenizer", {"do_lower_case": True, "unk_id": 2, "additional_special_tokens": ["<|end|>"]}),
            ("rembert", "RemBertTokenizer", {"do_lower_case": True, "keep_accents": False}),
            ("camembert", "CamembertTokenizer", {"add_prefix_space": False, "additional_special_tokens": ["<|end|>"]}),
            ("barthez", "BarthezTokenizer", {"add_prefix_space": False}),
            ("deberta-v2", "DebertaV2Tokenizer", {"do_lower_case": True, "split_by_punct": True, "add_prefix_space": False, "unk_token": "<unk>"})]:
        if model_type not in ("albert", "barthez"):  # barthez is no model type, albert's [CLS] must be in the vocabulary
            yield unigram, model_type, None
        yield unigram, model_type, {"tokenizer_class": name, **config}
    # The mask of these takes the spaces before it along, and is looked for before the text is normalized.
    for model_type, name in [("xlnet", "XLNetTokenizer"), ("barthez", "BarthezTokenizer"), ("camembert", "CamembertTokenizer")]:
        yield unigram, model_type, {"tokenizer_class": name, "mask_token": "<mask>"}
    yield unigram, "rembert", {"tokenizer_class": "RemBertTokenizer", "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": True}}
    yield bytes_, "blenderbot", {"tokenizer_class": "BlenderbotTokenizer", "mask_token": "<|end|>"}
    yield pieces, "mpnet", {"tokenizer_class": "MPNetTokenizer", "mask_token": "<mask>", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    yield pieces, "funnel", {"tokenizer_class": "FunnelTokenizerFast", "do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False, "clean_text": False, "cls_token": "[CLS]",
                             "sep_token": "[SEP]", "unk_token": "[UNK]"}


def setups():
    bpe, unigram = {"tokenizer.model": "bpe.model"}, {"tokenizer.model": "unigram.model"}
    pairs, words, ranks = {"vocab.json": "vocab.json", "merges.txt": "merges.txt"}, {"vocab.txt": "vocab.txt"}, {"tokenizer.model": "ranks.model"}
    def added(text, **flags):
        return {"__type": "AddedToken", "content": text, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, **flags}
    yield bpe, "llama", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True}
    yield bpe, "llama", {"tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True, "add_eos_token": True, "pad_token": "<pad>", "unk_token": added("<unk>", normalized=True)}
    yield bpe, "llama", {"tokenizer_class": "LlamaTokenizerFast", "add_prefix_space": False, "additional_special_tokens": ["<|end|>", "<mask>"]}
    yield bpe, "llama", None
    yield bpe, None, None
    yield bpe, "mistral", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "added_tokens_decoder": {"3": {"content": "<|end|>", "special": True, "normalized": False}}}
    yield bpe, "code_llama", {"tokenizer_class": "CodeLlamaTokenizer"}
    yield bpe, "gemma2", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "bos_token": "<s>", "eos_token": "</s>"}
    yield {"tokenizer.model": "bpe.model", "added_tokens.json": {"<|end|>": 800, "<mask>": 801}, "special_tokens_map.json": {"eos_token": "<|end|>", "additional_special_tokens": ["<mask>"]}}, "llama", {"tokenizer_class": "LlamaTokenizer"}
    yield unigram, "internlm2", {}
    yield unigram, "llama", {"tokenizer_class": "LlamaTokenizer"}
    yield {"tokenizer.model": "bytes.model"}, "llama", {"tokenizer_class": "PreTrainedTokenizerFast"}
    yield {"spiece.model": "unigram.model"}, "t5", {"tokenizer_class": "T5Tokenizer"}
    yield {"spiece.model": "unigram.model"}, "t5", {"extra_ids": 3, "additional_special_tokens": ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>"]}
    yield {"sentencepiece.bpe.model": "unigram.model"}, "xlm-roberta", {"tokenizer_class": "XLMRobertaTokenizer"}
    yield ranks, "llama", None
    yield ranks, "llama", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "add_bos_token": True, "extra_special_tokens": ["<|end|>", "<s>"]}
    yield ranks, "qwen3", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "added_tokens_decoder": {"702": {"content": "<|end|>", "special": True, "normalized": False}}}
    yield {"tiktoken.model": "ranks.model"}, "llama", {"tokenizer_class": "LlamaTokenizer"}
    yield {"tekken.json": "tekken.json"}, "llama", {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "add_bos_token": True}
    yield pairs, "gpt2", None
    yield pairs, "gpt2", {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_prefix_space": True}
    yield pairs, "qwen2", {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|end|>", "additional_special_tokens": ["<mask>", "<|end|>"]}
    yield pairs, "roberta", {"tokenizer_class": "RobertaTokenizer", "mask_token": added("<mask>", lstrip=True)}
    yield pairs, "bart", {"add_prefix_space": True, "trim_offsets": False}
    yield pairs, "gpt_neox", {"tokenizer_class": "GPTNeoXTokenizer", "add_bos_token": True, "add_eos_token": True}
    yield pairs, "deberta", None
    yield words, "bert", None
    yield words, "bert", {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False}
    yield words, "distilbert", {"tokenizer_class": "DistilBertTokenizer", "clean_up_tokenization_spaces": True}
    yield words, "mpnet", {"cls_token": "[CLS]", "sep_token": "[SEP]"}
    for name, model_type, config in [("word_piece", "bert", {"tokenizer_class": "BertTokenizer"}), ("byte_level", "roberta", {"tokenizer_class": "RobertaTokenizer"}),
                                     ("unigram", "t5", {"tokenizer_class": "T5Tokenizer"}), ("sentencepiece", "code_llama", {"tokenizer_class": "CodeLlamaTokenizer", "add_bos_token": False}),
                                     ("byte_level", "llama", {"tokenizer_class": "PreTrainedTokenizerFast", "add_bos_token": False, "image_token": "<image>", "extra_special_tokens": {"video_token": "<video>"}})]:
        yield {"tokenizer.json": f"../{name}.json"}, model_type, config
    yield from further_setups()


def write_folder(folder, sources, files, model_type, config):
    for name, content in files.items():
        if isinstance(content, str):
            shutil.copy(sources / content, folder / name)
        else:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    if model_type is not None:
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")


def cases_of(judge, texts=TEXTS):
    """[index of the text, ids without special tokens (null: as with them), ids, offsets, decoded, decoded without specials (null: the same)]"""
    rows = []
    for text, (plain, special, offsets, decoded, skipped) in zip(texts, judge(texts)):
        rows.append([TEXTS.index(text), None if plain == special else plain, special, offsets, decoded, None if skipped == decoded else skipped])
    return rows


def main():
    data = pathlib.Path(sys.argv[1])
    folder = data / "sources"
    folder.mkdir(exist_ok=True)
    byte_level = json.loads((data / "byte_level.json").read_text(encoding="utf-8"))
    word_piece = json.loads((data / "word_piece.json").read_text(encoding="utf-8"))
    if "--keep-files" not in sys.argv:
        make_sentencepieces(folder)
        make_ranks(folder, byte_level)
        make_vocabularies(folder, byte_level, word_piece)
        make_word_ends(folder)
    rows = []
    for files, model_type, config in setups():
        with tempfile.TemporaryDirectory() as scratch:
            write_folder(pathlib.Path(scratch), folder, files, model_type, config)
            try:
                judge = oracle.auto(scratch)
            except Exception as error:
                raise SystemExit(f"{files} {model_type} {config}: {error}")
            from transformers import AutoTokenizer
            tokenizer = AutoTokenizer.from_pretrained(scratch)
        rows.append({"kind": "auto", "files": files, "model_type": model_type, "config": config, "class": type(tokenizer).__name__, "size": len(tokenizer),
                     "bos": [tokenizer.bos_token, tokenizer.bos_token_id], "eos": [tokenizer.eos_token, tokenizer.eos_token_id],
                     "pad": [tokenizer.pad_token, tokenizer.pad_token_id], "cases": cases_of(judge)})
    for name in ["bpe", "unigram", "bytes", "suffix"]:
        rows.append({"kind": "sentencepiece", "file": f"{name}.model", "cases": cases_of(oracle.sentencepiece(str(folder / f"{name}.model")))})
    no_specials = [text for text in TEXTS if "<" not in text]
    rows.append({"kind": "tekken", "file": "tekken.json", "cases": cases_of(oracle.tekken(str(folder / "tekken.json")), no_specials)})
    with tempfile.TemporaryDirectory() as scratch:
        row = {"kind": "mistral", "files": {"tokenizer.model.v3": "bpe.model"}, "config": None, "model_type": None}
        write_folder(pathlib.Path(scratch), folder, row["files"], None, None)
        rows.append({**row, "cases": cases_of(oracle.mistral(scratch), no_specials)})
    setups_text = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    (folder / "cases.json").write_text('{"texts": ' + json.dumps(TEXTS) + ', "setups": [\n' + setups_text + "\n]}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
