"""Trains three tiny tokenizers with PyPI tokenizers 0.23.3 and writes them with golden cases to automodel/tokenizer/testdata.

    python tools/make_tokenizer_goldens.py automodel/tokenizer/testdata

NAME.json is a tokenizer.json, NAME.cases.json a list of {text, ids, special, offsets, decoded, skipped}: ids without and with the
post-processor's tokens, offsets in bytes of the latter, text decoded from it with and without special tokens.
The training text is our own.
"""
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXT = """A tokenizer turns text into numbers and numbers back into text, and it must never guess. The quick brown fox jumps over the lazy dog.
Every word, every space and every line end counts: a model that was trained with one space sees another world with two.
Numbers like 1, 12, 123 and 1234.5 are cut in their own way; so are words with apostrophes, such as it's, we'll, they've and don't.
Straße, naïve, café, größer, œuvre, señor, Ångström: letters with marks are one letter, or a letter and a mark.
Привет, мир! Это короткий текст для обучения. Γειά σου κόσμε. 你好，世界。こんにちは、世界。 안녕하세요 세계.
for (int i = 0; i < n; ++i) { sum += x[i] * y[i]; }  // the inner product
def add(a, b):\n    return a + b\n
The training loop reads a batch, computes the loss, walks back through the blocks and moves the weights a little.
""" * 4

CASES = ["", " ", "  ", "\n", "\r\n\r\n", "Hello", "Hello world", " Hello  world ", "It's DON'T we'LL they'Ve 'ſ", "1234567 3.14", "naïve café Straße",
         "e\u0301 n\u0303 \u1112\u1161\u11ab \u212b", "<s>Hello</s>", "<|end|> <|end|>x<|end|>", "a<mask> b", "word worded word", "你好，世界",
         "😀👩‍👩‍👧 \U0001fae8", "\x00\x01\x7f\x85", "\ufeff\u200b\u00a0\u3000", "▁▁a▁", "<0x41>", "\U0001e052\U00031350\ua7cb",
         "x" * 70, "Ġ Ċ", "for (int i = 0;\n\ti < n; ++i) {\n\n}   ", "  <mask>  ", "ÅNGSTRÖM Ǆ İ"]


def fuzz(seed, count):
    r = random.Random(seed)
    words = ["the", "Text", "'s", " ", "  ", "\n", "\t", "é", "e\u0301", "世", "мир", "😀", "12", "<s>", "<|end|>", "<mask>", "word", "...", "_", "\u3000", "▁"]
    def one():
        if r.random() < 0.75:
            return r.choice(words)
        code = r.choice([r.randrange(32, 127), r.randrange(0xA0, 0x3000), r.randrange(0x3000, 0xD000), r.randrange(0x10000, 0x32000)])
        return chr(code)
    return ["".join(one() for _ in range(r.randrange(1, 25))) for _ in range(count)]


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"),
                             behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=700, show_progress=False, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(TEXT.split("\n"), trainer)
    tokenizer.add_special_tokens(["<s>", "</s>", AddedToken("<|end|>", lstrip=True, rstrip=True, special=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("<mask>", lstrip=True), AddedToken("word", single_word=True)])
    begin, end = tokenizer.token_to_id("<s>"), tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", begin), ("</s>", end)])])
    return tokenizer


def sentencepiece_like():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=900, show_progress=False, special_tokens=specials, max_token_length=12)
    words = ["▁" + word for line in TEXT.split("\n") for word in line.split()]
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.normalizer = None
    tokenizer.train_from_iterator(words, trainer)
    tokenizer.pre_tokenizer = None
    data = json.loads(tokenizer.to_str())
    data["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}
    data["added_tokens"] = [token for token in data["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.add_special_tokens([AddedToken("<|end|>", rstrip=True, special=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("<mask>", normalized=True)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return tokenizer


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=500, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]", "<mask>"])
    tokenizer.train_from_iterator(TEXT.split("\n"), trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    return tokenizer


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=400, show_progress=False, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>")
    tokenizer.train_from_iterator(TEXT.split("\n"), trainer)
    return tokenizer


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, make in {"byte_level": byte_level, "sentencepiece": sentencepiece_like, "word_piece": word_piece, "unigram": unigram}.items():
        (folder / f"{name}.json").write_text(make().to_str() + "\n", encoding="utf-8")
        tokenizer = Tokenizer.from_file(str(folder / f"{name}.json"))
        rows = []
        for text in CASES + fuzz(name, 60):
            plain, special = tokenizer.encode(text, add_special_tokens=False), tokenizer.encode(text)
            starts = [0]
            for character in text:
                starts.append(starts[-1] + len(character.encode()))
            rows.append({"text": text, "ids": plain.ids, "special": special.ids, "offsets": [[starts[a], starts[b]] for a, b in special.offsets],
                         "decoded": tokenizer.decode(special.ids, skip_special_tokens=False), "skipped": tokenizer.decode(special.ids)})
        (folder / f"{name}.cases.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
