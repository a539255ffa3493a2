#!/usr/bin/env python3
"""Renders chat templates with jinja2 as transformers configures it, for automodel/tokenizer's tests.

    make_template_goldens.py golden OUT.json        our own templates and the syntax suite (committed: testdata/templates.json)
    make_template_goldens.py live ASSETS OUT.json   every template of the assets in the nine contexts, and the suites there

Needs jinja2 3.1.6 and transformers 5.17. strftime_now is fixed to 2024-07-26 12:34:56.
Output: {"cases": [{"name", "source", "context" (both indices), "text" and "generation" (byte ranges), or "error"}],
"contexts": [...], "sources": [...]}
"""
import datetime
import glob
import json
import os
import pathlib
import re
import sys

import jinja2
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).resolve().parent
NOW = datetime.datetime(2024, 7, 26, 12, 34, 56)


def contexts():
    """The nine contexts: plain chats, tools, tool calls with arguments as object and string, reasoning, images."""
    parameters = {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "City"},
            "unit": {"type": "string", "enum": ["c", "f"]},
            "days": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["location"],
    }
    tools = [{"type": "function", "function": {
        "name": "get_weather", "description": "Get \"weather\" <b>now</b> & later, it's \u00e9", "parameters": parameters}}]
    user = lambda text: {"role": "user", "content": text}
    assistant = lambda text: {"role": "assistant", "content": text}
    system = lambda text: {"role": "system", "content": text}
    arguments = {"location": "Z\u00fcrich", "days": 3, "metric": True, "x": None, "f": 1.5, "l": [1, "a"]}

    def call(args):
        return {"role": "assistant", "content": "", "tool_calls": [
            {"id": "call_12345", "type": "function", "function": {"name": "get_weather", "arguments": args}}]}

    result = {"role": "tool", "name": "get_weather", "tool_call_id": "call_12345", "content": "{\"t\": 3}"}
    all_of_them = {
        "simple": dict(messages=[user("Hi <there> & 'you'\n")], add_generation_prompt=True),
        "sys": dict(messages=[system(" You are helpful. "), user("Hi"), assistant("Hello "), user("Bye")],
                    add_generation_prompt=True),
        "nogen": dict(messages=[user("Hi"), assistant(" Hello\n\n")], add_generation_prompt=False),
        "tools": dict(messages=[user("w?")], tools=tools, add_generation_prompt=True),
        "toolcall": dict(messages=[user("w?"), call(arguments), result, assistant("It is 3."), user("ok")], tools=tools,
                         add_generation_prompt=True),
        "toolcallstr": dict(messages=[user("w?"), call(json.dumps(arguments)), result], tools=tools,
                            add_generation_prompt=True),
        "think": dict(messages=[user("a"), {"role": "assistant", "content": "<think>hm</think>\n\nans",
                                            "reasoning_content": "hm"}, user("b")],
                      add_generation_prompt=True, enable_thinking=False),
        "think2": dict(messages=[user("a"), {"role": "assistant", "content": "ans", "reasoning_content": "hm"}, user("b")],
                       add_generation_prompt=True, enable_thinking=True, reasoning_effort="high"),
        "mm": dict(messages=[{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]},
                             {"role": "assistant", "content": [{"type": "text", "text": "cat"}]}],
                   add_generation_prompt=False),
    }
    for context in all_of_them.values():
        context.update(bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    return all_of_them


def render(source, variables):
    try:
        template = chat_template_utils._cached_compile_jinja_template(source)
        template.globals["strftime_now"] = NOW.strftime
        blocks, spans = [], []
        with template.environment.activate_tracker(blocks, spans):
            for block in template.generate(**variables):
                blocks.append(block)
        text = "".join(blocks)
        text.encode()
    except Exception as error:  # whatever it is, the render fails
        return {"error": f"{type(error).__name__}: {error}"}
    at = lambda index: len(text[:index].encode())
    return {"text": text, "generation": [[at(a), at(b)] for a, b in spans]}


class Writer:
    def __init__(self):
        self.contexts, self.sources, self.cases = [], {}, []

    def add_context(self, variables):
        self.contexts.append(variables)
        return len(self.contexts) - 1

    def add(self, name, source, context):
        result = render(source, self.contexts[context])
        if len(result.get("text", "")) > 1 << 20:
            print(f"{name} left out: {len(result['text'])} characters")
            return
        if re.search(r" at 0x[0-9a-f]+>", result.get("text", "")):
            print(f"{name} left out: it prints the address of an object")
            return
        index = self.sources.setdefault(source, len(self.sources))
        self.cases.append({"name": name, "source": index, "context": context, **result})

    def save(self, path):
        good = sum("text" in case for case in self.cases)
        out = {"contexts": self.contexts, "sources": list(self.sources), "cases": self.cases}
        pathlib.Path(path).write_text(json.dumps(out, ensure_ascii=True, indent=0, separators=(",", ":")) + "\n")
        print(f"{len(self.cases)} cases, {good} render, {len(self.cases) - good} fail; jinja2 {jinja2.__version__}")


def golden(path):
    writer = Writer()
    folder = HERE / "template_goldens"
    nine = {name: writer.add_context(variables) for name, variables in contexts().items()}
    for file in sorted(folder.glob("*.jinja")):
        for name, context in nine.items():
            writer.add(f"{file.stem}@{name}", file.read_text(), context)
    suite = writer.add_context(json.loads((folder / "suite_variables.json").read_text()))
    for number, line in enumerate((folder / "suite.txt").read_text().splitlines(), 1):  # one template a line, \u00b6 its newlines
        writer.add(f"suite.txt:{number}", line.replace("\u00b6", "\n"), suite)
    writer.save(path)


def asset_templates(assets):
    patterns = ["chat_templates/llama.cpp/*.jinja", "chat_templates/mistral-common/chat_templates/*.jinja",
                "chat_templates/functionary/*.txt", "tokenizers/**/*.jinja"]
    for pattern in patterns:
        for file in sorted(glob.glob(os.path.join(assets, pattern), recursive=True)):
            yield os.path.relpath(file, assets), pathlib.Path(file).read_text()
    for file in sorted(glob.glob(os.path.join(assets, "tokenizers/**/tokenizer_config.json"), recursive=True)):
        template = json.loads(pathlib.Path(file).read_text()).get("chat_template")
        named = template if isinstance(template, list) else [{"name": "default", "template": template}] if template else []
        for item in named:
            yield f"{os.path.relpath(file, assets)}#{item['name']}", item["template"]


def live(assets, path):
    writer = Writer()
    nine = {name: writer.add_context(variables) for name, variables in contexts().items()}
    for name, source in asset_templates(assets):
        for key, context in nine.items():
            writer.add(f"template {name}@{key}", source, context)
    for case in json.loads(pathlib.Path(assets, "converted/jinja_cases.json").read_text()):
        if isinstance(case["context"], dict) and all(isinstance(key, str) and key.isidentifier() for key in case["context"]):
            writer.add(f"suite {case['suite']} {case['name']}", case["template"], writer.add_context(case["context"]))
    for file in sorted(glob.glob(os.path.join(assets, "chat_templates/minijinja-tests/inputs/*.txt"))):
        head, _, source = pathlib.Path(file).read_text().partition("\n---\n")
        try:
            variables = json.loads(head)
        except ValueError:
            continue
        if isinstance(variables, dict) and all(key.isidentifier() for key in variables):
            writer.add(f"suite minijinja {os.path.basename(file)}", source, writer.add_context(variables))
    writer.save(path)


if __name__ == "__main__":
    if sys.argv[1:2] == ["golden"] and len(sys.argv) == 3:
        golden(sys.argv[2])
    elif sys.argv[1:2] == ["live"] and len(sys.argv) == 4:
        live(sys.argv[2], sys.argv[3])
    else:
        sys.exit(__doc__)
