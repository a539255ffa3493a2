"""The Python libraries as judges for automodel/tokenizer/differential_test.cpp.

    python tools/tokenizer_oracle.py KIND PLACE TEXTS.json ANSWERS.json

KIND          PLACE                         judge
library       a tokenizer.json              tokenizers
auto          a folder                      transformers' AutoTokenizer
sentencepiece a NAME.model                  sentencepiece
tiktoken      a NAME.tiktoken               tiktoken, with the pattern and special tokens of its encoding NAME
tekken        a tekken.json                 mistral-common
mistral       a folder with a NAME.model.vN mistral-common

A judge is a function from texts to answers. TEXTS: a list of strings. ANSWERS: for each [ids, ids with special tokens, flat byte offsets of those, decoded, decoded without specials];
null where the judge has no answer. Prints "rejected: why" and writes nothing if the judge does not take the place.
"""
import json
import os
import pathlib
import sys

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TIKTOKEN_CACHE_DIR"] = ""  # it would answer with an older file of the same path


def byte_spans(text, spans):
    """Spans of characters as one flat list of bytes."""
    if text.isascii():
        return [at for span in spans for at in span]
    starts = [0]
    for character in text:
        starts.append(starts[-1] + len(character.encode()))
    return [starts[at] for span in spans for at in span]


def library(place):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(place)
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def answers(texts):
        special = tokenizer.encode_batch(texts)
        ids = [one.ids for one in special]
        return [list(row) for row in zip((one.ids for one in tokenizer.encode_batch(texts, add_special_tokens=False)), ids,
                                         (byte_spans(text, one.offsets) for text, one in zip(texts, special)),
                                         tokenizer.decode_batch(ids, skip_special_tokens=False), tokenizer.decode_batch(ids))]
    return answers


def auto(place):
    from transformers import AutoTokenizer
    import transformers.models.auto.tokenization_auto as tables
    tables._use_mistral_format = lambda *args, **kwargs: False  # tekken.json through transformers' own converter
    tokenizer = AutoTokenizer.from_pretrained(place)
    tokenizer._tokenizer.no_truncation()
    tokenizer._tokenizer.no_padding()
    wanted = {"return_attention_mask": False, "return_token_type_ids": False}

    def answers(texts):
        special = tokenizer(texts, return_offsets_mapping=True, **wanted)
        ids = special["input_ids"]
        return [list(row) for row in zip(tokenizer(texts, add_special_tokens=False, **wanted)["input_ids"], ids,
                                         (byte_spans(text, spans) for text, spans in zip(texts, special["offset_mapping"])),
                                         tokenizer.batch_decode(ids, skip_special_tokens=False), tokenizer.batch_decode(ids, skip_special_tokens=True))]
    return answers


def each(answer):
    return lambda texts: [answer(text) for text in texts]


def sentencepiece(place):
    from sentencepiece import SentencePieceProcessor
    processor = SentencePieceProcessor(model_file=place)

    def answer(text):
        pieces = processor.encode(text, return_type="proto").pieces  # begin and end count bytes
        ids = [piece.id for piece in pieces]
        return [ids, ids, [at for piece in pieces for at in (piece.begin, piece.end)], processor.decode(ids), processor.decode(ids)]
    return each(answer)


def tiktoken(place):
    import tiktoken as library_of
    from tiktoken.load import load_tiktoken_bpe
    name = pathlib.Path(place).stem
    rules = {"pat_str": "", "special_tokens": {}}
    if name == "qwen":  # Qwen-1's tokenization_qwen.py
        rules["pat_str"] = r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
        names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{i}|>" for i in range(205)]
        rules["special_tokens"] = {token: 151643 + i for i, token in enumerate(names)}
    else:
        import tiktoken_ext.openai_public as public
        public.load_tiktoken_bpe = public.data_gym_to_mergeable_bpe_ranks = lambda *args, **kwargs: {}
        rules = public.ENCODING_CONSTRUCTORS[name]()
    encoding = library_of.Encoding(name=name, pat_str=rules["pat_str"], mergeable_ranks=load_tiktoken_bpe(place), special_tokens=rules["special_tokens"])

    from tokenizers import normalizers
    nfc = normalizers.NFC()  # not unicodedata: Python 3.11 is at Unicode 14, and marks of later versions stay out of order

    def answer(text):
        ids = encoding.encode(nfc.normalize_str(text) if name == "qwen" else text, allowed_special="all")
        return [ids, ids, None, encoding.decode(ids), None]
    return each(answer)


def tekken(place):
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer
    tokenizer = Tekkenizer.from_file(place)

    def answer(text):
        plain, special = tokenizer.encode(text, bos=False, eos=False), tokenizer.encode(text, bos=True, eos=False)
        return [plain, special, None, None, tokenizer.decode(special)]
    return each(answer)


def mistral(place):
    from mistral_common.tokens.tokenizers.sentencepiece import SentencePieceTokenizer
    from mistral_common.tokens.tokenizers.utils import get_one_valid_tokenizer_file
    tokenizer = SentencePieceTokenizer(get_one_valid_tokenizer_file([str(path) for path in pathlib.Path(place).iterdir()]))

    def answer(text):
        plain, special = tokenizer.encode(text, bos=False, eos=False), tokenizer.encode(text, bos=True, eos=False)
        return [plain, special, None, None, tokenizer.decode(special)]
    return each(answer)


def main():
    kind, place, texts_path, answers_path = sys.argv[1:]
    try:
        judge = {"library": library, "auto": auto, "sentencepiece": sentencepiece, "tiktoken": tiktoken, "tekken": tekken, "mistral": mistral}[kind](place)
    except Exception as error:
        print("rejected:", type(error).__name__, str(error)[:300])
        return
    with open(texts_path, encoding="utf-8") as file:
        texts = json.load(file)
    with open(answers_path, "w", encoding="utf-8") as file:
        json.dump([row for at in range(0, len(texts), 8192) for row in judge(texts[at:at + 8192])], file)


if __name__ == "__main__":
    main()
