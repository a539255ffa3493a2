"""The `tokenizers` library as a judge for automodel/tokenizer/differential_test.cpp.

    python tools/tokenizer_oracle.py TOKENIZER.json TEXTS.json ANSWERS.json

TEXTS: a list of strings. ANSWERS: for each [ids, ids with special tokens, flat byte offsets of those, decoded, decoded without specials].
Prints "rejected: why" and writes nothing if the library does not load the file.
"""
import json
import sys

from tokenizers import Tokenizer


def main():
    try:
        tokenizer = Tokenizer.from_file(sys.argv[1])
    except Exception as error:
        print("rejected:", error)
        return
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with open(sys.argv[2], encoding="utf-8") as file:
        texts = json.load(file)
    answers = []
    for text in texts:
        special = tokenizer.encode(text)
        starts = [0]
        for character in text:
            starts.append(starts[-1] + len(character.encode()))
        flat = [starts[at] for span in special.offsets for at in span]
        answers.append([tokenizer.encode(text, add_special_tokens=False).ids, special.ids, flat,
                        tokenizer.decode(special.ids, skip_special_tokens=False), tokenizer.decode(special.ids)])
    with open(sys.argv[3], "w", encoding="utf-8") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main()
