#!/usr/bin/env python3
"""Writes automodel/config/testdata/yaml_goldens.json: what PyYAML's safe_load and Python's ast.literal_eval make of many texts.

Run with a Python that has PyYAML 6. Values are written as [kind, content], so that 1, 1.0, True and "1" stay apart.
"""
import ast
import json
import math
import sys
import warnings

import yaml

warnings.simplefilter("ignore")

SCALARS = """yes no Yes NO on off On OFF true True TRUE tRUE y n false FALSE False ~ null Null NULL nULL none None nan inf
0 1 -1 +1 01 017 018 08 0o17 0O17 0b101 0b102 0b 0x1F 0xfg 0x -0x1f +0b11 1_000 _1 1__0 1_ 0_7 00 000 12:30 1:2:3 12:60 -12:30 1:30:00
01:30 12:3 190:20:30 9223372036854775807 -9223372036854775808 9223372036854775808 123456789012345678901234567890
1. .5 1.5 -1.5 +.5 -.5 . 1e5 1e-5 1E5 1.e5 1.e+5 1.0e5 1.0e-5 1.0e+5 1.5E-10 .5e-3 1_0.5 1._5 ._5 0.1_2 .e5 1.0e
.inf .Inf .INF -.inf +.inf .iNF .nan .NaN .NAN .Nan -.nan 1:30.5 -1:30.5 1:2:3.25 1.5:30 1e400 1.0e+400
2001-12-14 2001-12-14t21:59:43.10-05:00 2001-1-1 00:30:00 10:00:00 1.2.3 v1.0 1-2 1,000 12e03 0.0 -0.0 0e0 00.5 09.5 0.
bf16 torch.bfloat16 *x-not =x -- --- 1e-08 train[:1000] Qwen/Qwen3-0.6B a:b *_proj 0x1_F 0b1_0 +1_0 -_1 12_:30 1:3_0
""".replace("*x-not", "").replace("--- ", "").replace("*_proj", "").split()

LITERALS = [
    "none", "None", "null", "true", "True", "TRUE", "false", "False", "yes", "", " ", "1", " 1", "1 ", "\t1", "1\n", "\n1", "1 # c",
    "# c", "1_000", "1__0", "1_", "_1", "0x1F", "0X1f", "0x_1f", "0o17", "0b101", "0b", "017", "00", "0_0", "0", "-1", "+1", "--1",
    "- 1", "-(1)", "~1", "1.", ".5", "1.5", "1e-5", "1E5", "1e+5", "1e", "1_0.0_1", "1._5", "017.5", "1e1_0", "1j", "1+2j", "1-2",
    "1+2", "1e400", "-1e400", "9223372036854775807", "-9223372036854775807", "[]", "[1, 2]", "[1, 2,]", "[,]", "[1 2]", "(1, 2)",
    "(1)", "(1,)", "()", "1, 2", "1,", ",1", "{}", "{'a': 1}", "{'a': 1, 'b': [1, {'c': None}]}", "{'a': 1,}", "{1: 2}", "{'a'}",
    "{1, 2}", "set()", "'a'", '"a"', "'a' 'b'", "'a' \"b\"", "'''a\nb'''", '"""a"""', "'a\nb'", "'a\\nb'", "'\\x41'", "'\\u00e9'",
    "'\\U0001F600'", "'\\101'", "'\\q'", "'\\''", "r'\\n'", "R'\\n'", "u'x'", "b'x'", "f'x'", "rb'x'", "'unterminated", "a", "a.b",
    "a b", "lambda: 1", "__import__('os')", "open('x')", "[a]", "[None, True, False]", "[none]", "[1, [2, [3]]]", "{'a': (1, 2)}",
    "...", "1 if True else 2", "[1][0]", "'a'.upper()", "not True", "1 < 2", "1 == 1", "'%s' % 1", "'a' * 3", "2 ** 3", "[x for x in y]",
    "bf16", "torch.bfloat16", "train[:1000]", "train[:10%]", "0.99, 0.01, 0.00", "Qwen/Qwen3-0.6B", "1e-8", "5.", "-.5", "+.5", "1.2.3",
    "00:30:00", "12:30", "H100:1", "2001-12-14", "/a/b", "~", "$HOME", "100%", "[1,\n 2]", "(1\n)", "(1,\n# c\n2)", "'é'", "é", "'日本'",
    "[" * 60 + "]" * 60, "'" + "x" * 2000 + "'", "[" + "1, " * 600 + "]", "{'a': 1, 'a': 2}", "1 \\\n", "[1] [2]", "'a'1", "1'a'", "0777",
    "0_7", "1.e5", "1.0E-05", "True False", "[True,False]", "{None: 1}", "-True", "-'a'", "- - 1", "+ 1", "''", '""', "''''''", "' '",
    "{{ x }}", "{% if x %}", "[[", "]]", "{'a': }", "{'a' 1}", "{:}", "{1: 2, 3}", "(,)", "((1))", "([])", "[()]", "1;2", "1\n2",
]

TREES = [
    "a: 1\nb: [1, 2.5, x, yes]\nc: {d: null, e: ~}\n",
    "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n",
    "a: &a {x: 1, z: 0}\nb: &b {x: 2, y: 3}\nuse:\n  <<: [*a, *b]\n  z: 4\n",
    "a: &a {x: 1}\nb: &b\n  <<: *a\n  y: 2\nc:\n  <<: *b\n",
    "t: |\n  one\n  two\nf: >-\n  one\n  two\nk: |+\n  x\n\ne: ''\n",
    "a: 'it''s'\nb: \"x\\ty\\u00e9\"\nc: plain with spaces\nd: 'yes'\ne: \"1\"\n",
    "list:\n- a\n- b: 1\n  c: 2\n-\n  - nested\n",
    "x: &v [1, 2]\ny: *v\nz: *v\n",
    "a: !!str 1\nb: !!int '3'\nc: !!float 1\nd: !!bool 'yes'\ne: !!null ''\n",
    "1: b\n1.5: c\n",
    "a: # comment\n  b: 1 # more\n# end\n",
    "a: multi\n  line plain\nb: \"multi\n  line quoted\"\n",
    "---\na: 1\n...\n",
    "{a: 1, 'b': [x, {c: d}]}\n",
    "a: 2001-12-14\nb: 00:30:00\nc: 12:30\nd: 1e-5\ne: 1.0e-5\n",
]


def typed(value):
    if value is None:
        return ["null"]
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int", str(value)] if -(2**63) <= value < 2**63 else ["other"]
    if isinstance(value, float):
        return ["float", "nan" if math.isnan(value) else value.hex()]
    if isinstance(value, str):
        return ["str", value]
    if isinstance(value, (list, tuple)):
        return ["list", [typed(item) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[str(key), typed(item)] for key, item in value.items()]]
    return ["other"]


def translate(text):
    words = {"none": None, "None": None, "true": True, "True": True, "false": False, "False": False}
    if len(text) > 1000:
        return text
    if text in words:
        return words[text]
    try:
        return ast.literal_eval(text)
    except Exception:
        return text


def scalar(text):
    try:
        return typed(yaml.safe_load(text))
    except Exception:
        return ["error"]


def main(path):
    goldens = {
        "made_with": f"PyYAML {yaml.__version__}",
        "scalars": [[text, scalar(text)] for text in SCALARS],
        "literals": [[text, typed(translate(text))] for text in LITERALS],
        "trees": [[text, typed(yaml.safe_load(text))] for text in TREES],
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(goldens, file, ensure_ascii=True, indent=None, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "automodel/config/testdata/yaml_goldens.json")
