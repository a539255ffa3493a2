#!/usr/bin/env python3
"""Renders chat templates with jinja2 as transformers configures it, for automodel/tokenizer's tests.

    make_template_goldens.py golden OUT.json        our own templates and the syntax suite (committed: testdata/templates.json)
    make_template_goldens.py live ASSETS OUT.json   every template of the assets in the nine contexts, and the suites there

Each of the templates is also rendered with continue_final_message, by transformers itself, in chats that end in many ways.

Needs jinja2 3.1.6 and transformers 5.17. strftime_now is fixed to 2024-07-26 12:34:56.
Output: {"cases": [{"name", "source", "context" (both indices), "text" and "generation" (byte ranges), or "error"}],
a case with "continue" (a field's name) has no "generation"; "contexts": [...], "sources": [...]}
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


def continued_contexts():
    """Chats whose last message is left open: {name: (variables, the field that is continued)}."""
    user, answer = {"role": "user", "content": "w?"}, lambda content, **more: {"role": "assistant", "content": content, **more}
    system = {"role": "system", "content": "Be brief."}
    call = {"id": "call_12345", "type": "function", "function": {"name": "get_weather", "arguments": {"days": 3}}}
    chats = {
        "plain": [user, answer("It is")],
        "spaced": [user, answer("  It is\n \u00a0")],
        "open": [system, user, answer("It is "), user, answer("It is ")],
        "empty": [user, answer("")],
        "blank": [user, answer(" \n")],
        "tag": [user, answer("CONTINUE_FINAL_MESSAGE_TAG  is"), user, answer("a CONTINUE_FINAL_MESSAGE_TAG")],
        "no_content": [user, {"role": "assistant", "tool_calls": [call]}],
        "null_content": [user, answer(None)],
        "number": [user, answer(3)],
        "calls": [user, answer("I look.", tool_calls=[call])],
        "user": [user],
        "tool": [user, answer("", tool_calls=[call]), {"role": "tool", "name": "get_weather", "tool_call_id": "call_12345", "content": "{}"}],
        "robot": [user, {"role": "robot", "content": "It is"}],
        "think": [user, answer("<think>hm</think>\n\nIt is")],
        "think_open": [user, answer("<think>\nhm ")],
        "think_field": [user, answer("It is", reasoning_content="hm ")],
        "parts": [user, answer([{"type": "text", "text": "a"}, {"type": "text", "text": "It is "}, {"type": "image"}])],
        "parts_only_image": [user, answer([{"type": "image"}])],
        "parts_null": [user, answer([{"type": "text", "text": None}])],
        "parts_none": [user, answer([])],
        "parts_texts": [user, answer(["some text"])],
        "unicode": [user, answer("\u00e9\u3000\U0001f600\u2028")],
        "no_message": ["It is"],
    }
    out = {name: (dict(messages=messages, add_generation_prompt=False), "content") for name, messages in chats.items()}
    out["reasoning"] = (dict(messages=[user, answer("", reasoning_content="hm ")], add_generation_prompt=False, enable_thinking=True), "reasoning_content")
    out["thinking"] = (dict(messages=[user, answer("", thinking="hm ")], add_generation_prompt=False), "thinking")
    out["absent_field"] = (dict(messages=[user, answer("It is", no_such_field="x")], add_generation_prompt=False), "no_such_field")
    out["prompted"] = (dict(messages=[user, answer("It is")], add_generation_prompt=True), "content")
    for variables, _ in out.values():
        variables.update(tools=None, documents=None, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    return out


def render_continued(source, variables, field):
    """What apply_chat_template(..., continue_final_message=field) does around its call of render_jinja_template."""
    try:
        chat_template_utils._compile_jinja_template(source).globals["strftime_now"] = NOW.strftime
        if variables["add_generation_prompt"]:
            raise ValueError("continue_final_message and add_generation_prompt are not compatible.")
        named = {key: value for key, value in variables.items() if key != "messages"}
        texts, _ = chat_template_utils.render_jinja_template([variables["messages"]], chat_template=source, continue_final_message=field, **named)
        texts[0].encode()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}
    return {"text": texts[0]}


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

    def add(self, name, source, context, field=None):
        variables = self.contexts[context]
        result = render(source, variables) if field is None else {"continue": field, **render_continued(source, variables, field)}
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
    open_chats = {name: (writer.add_context(variables), field) for name, (variables, field) in continued_contexts().items()}
    for file in sorted(folder.glob("*.jinja")):
        for name, (context, field) in open_chats.items():
            writer.add(f"continued {file.stem}@{name}", file.read_text(), context, field)
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
    open_chats = {name: (writer.add_context(variables), field) for name, (variables, field) in continued_contexts().items()}
    for name, source in asset_templates(assets):
        for key, context in nine.items():
            writer.add(f"template {name}@{key}", source, context)
        for key, (context, field) in open_chats.items():
            writer.add(f"continued {name}@{key}", source, context, field)
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
