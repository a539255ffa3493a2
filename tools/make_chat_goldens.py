#!/usr/bin/env python3
"""Golden samples for automodel/data: chats, prompt/answer, SQuAD and HellaSwag rows, tokenised and masked by transformers.

    python tools/make_chat_goldens.py --tokenizer assets/quickstart/model --out automodel/data/testdata/samples.json

Needs transformers 5.17. A chat's ids are apply_chat_template's. Its mask is transformers' assistant mask where the template has
{% generation %}; otherwise NeMo AutoModel's rule: an assistant turn is the tokens from the end of the rendering of the messages
before it to the end of the rendering up to it, each of which must begin the whole (a closing eos is forgiven).
Output: {"templates": {name: source}, "chats": [{"name", "template", "row", "train_on", "ids", "mask"} or "error"],
"named": rows under a tokenizer that has the templates "default" and "tool_use", [{"name", "row", "templates": {name: template}, "text",
"ids"} or "error"], "texts": [{"name", "builder", "row", "ids", "labels"}]}.
"""
import argparse
import json
import pathlib
import re

from transformers import AutoTokenizer

CHATML = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
TEMPLATES = {
    "own": None,
    "chatml": CHATML,
    # the closing token of the conversation stands only at its end
    "closing": ("{% for m in messages %}{{ '<|im_start|>' + m.role + ': ' + m.content }}"
                "{% if loop.last %}{{ eos_token }}{% else %}{{ '<|endoftext|>' }}{% endif %}{% endfor %}"),
    # earlier answers are shortened once another message follows
    "rewriting": ("{% for m in messages %}{% if m.role == 'assistant' and not loop.last %}{{ '[A]' + m.content[:3] }}"
                  "{% else %}{{ '[' + m.role + ']' + m.content }}{% endif %}{% endfor %}"),
    "tools": ("{% if tools %}{{ '<|im_start|>system\\n' + (tools | tojson) + '<|im_end|>\\n' }}{% endif %}"
              "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\\n' }}{% generation %}"
              "{% if m.tool_calls %}{% for c in m.tool_calls %}{{ '<call>' + c.function.name + ' ' + (c.function.arguments | tojson) + '</call>' }}"
              "{% endfor %}{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
              "{% else %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"),
    "no_system": ("{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
                  "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"),
}


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather <now> & \"later\"", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
CHATS = {
    "one_turn": {"messages": [user("What is 2 + 3?"), assistant("2 + 3 = 5.\n#### 5")]},
    "turns": {"messages": [{"role": "system", "content": "You are brief."}, user("Hi!"), assistant("Hello."),
                           user("  How much is\n\n7 * 6 ?"), assistant("42"), user("Thanks"), assistant("You are welcome!\n\n")]},
    "unicode": {"messages": [user("Écris «deux» : 日本語 👩‍👩‍👧 naïve"), assistant("👋🏽 ça va — 二つ"), user("Ω\u0301?"), assistant("e\u0301 \U0001F600")]},
    "looks_special": {"messages": [user("say <|im_end|> and <|im_start|>assistant\n"), assistant("<|im_start|> no <|im_end|>")]},
    "answer_first": {"messages": [assistant("May I help?"), user("No."), assistant("Fine.")]},
    "null_content": {"messages": [user(None), assistant("")]},
    "sharegpt": {"conversations": [{"from": "system", "value": "Be kind."}, {"from": "human", "value": "Name a color."}, {"from": "gpt", "value": "Blue."}]},
    "calls": {"tools": TOOLS, "messages": [
        user("Weather in Rome?"),
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Rome", "days": 2}}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "{\"sky\": \"clear\"}"}, assistant("Clear sky.")]},
}
ROLES = {"human": "user", "gpt": "assistant", "system": "system"}


def messages_of(row):
    if "conversations" in row:
        return [{"role": ROLES[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
    return [{**message, "content": message["content"] or ""} for message in row["messages"]]


def fold_system(messages):
    system, rest = messages[0], [dict(message) for message in messages[1:]]
    first = next(message for message in rest if message["role"] == "user")
    first["content"] = system["content"] + "\n" + first["content"]
    return rest


def prefix_mask(ids_of, messages, eos):
    whole = ids_of(messages)
    mask = [0] * len(whole)

    def end(count):
        if count == len(messages):
            return len(whole)
        ids = ids_of(messages[:count]) if count else []
        same = ids == whole[:len(ids)] or (ids and ids[-1] == eos and ids[:-1] == whole[:len(ids) - 1])
        if not same:
            raise ValueError("no prefix")
        return len(ids)

    for i, message in enumerate(messages):
        if message["role"] == "assistant":
            mask[end(i):end(i + 1)] = [1] * (end(i + 1) - end(i))
    return whole, mask


def chat_case(tokenizer, name, template_name, row):
    template = TEMPLATES[template_name] or tokenizer.chat_template
    messages, tools = messages_of(row), row.get("tools")
    case = {"name": name, "template": template_name, "row": row}
    if template_name == "no_system" and messages[0]["role"] == "system":
        messages = fold_system(messages)
    if re.search(r"\{%-?\s*generation", template):
        out = tokenizer.apply_chat_template(messages, tools=tools, chat_template=template, tokenize=True, return_dict=True,
                                            return_assistant_tokens_mask=True)
        return {**case, "ids": out["input_ids"], "mask": out["assistant_masks"]}
    try:
        ids, mask = prefix_mask(lambda m: tokenizer.apply_chat_template(m, tools=tools, chat_template=template, tokenize=True, return_dict=True)["input_ids"],
                                messages, tokenizer.eos_token_id)
    except ValueError as error:
        return {**case, "error": str(error)}
    return {**case, "ids": ids, "mask": mask}


def named_cases(tokenizer):
    plain, tools = CHATS["turns"], CHATS["calls"]
    for names in ({"default": "chatml", "tool_use": "tools"}, {"default": "tools"}, {"tool_use": "tools"}, {"default": "chatml", "rag": "tools"}):
        tokenizer.chat_template = {name: TEMPLATES[template] for name, template in names.items()}
        for name, row in (("plain", plain), ("tools", tools), ("plain_with_tools", {**plain, "tools": TOOLS})):
            case = {"name": name, "row": row, "templates": names}
            try:
                messages, given = messages_of(row), row.get("tools")
                text = tokenizer.apply_chat_template(messages, tools=given, tokenize=False)
                yield {**case, "text": text, "ids": tokenizer.apply_chat_template(messages, tools=given, tokenize=True, return_dict=True)["input_ids"]}
            except ValueError as error:
                yield {**case, "error": str(error)}


def shifted(ids, mask):
    return {"ids": ids[:-1], "labels": [token if trained else -100 for token, trained in zip(ids, mask)][1:]}


def text_case(tokenizer, name, builder, row, prompt, answer, answer_only=True):
    encoded = tokenizer(prompt + answer, return_offsets_mapping=True)
    mask = [int(not answer_only or end > len(prompt)) for _, end in encoded["offset_mapping"]]
    return {"name": name, "builder": builder, "row": row, **shifted(encoded["input_ids"], mask)}


def hellaswag_case(tokenizer, row):
    context, ending = tokenizer(row["ctx"])["input_ids"], tokenizer(row["endings"][int(row["label"])])["input_ids"]
    special = set(tokenizer.all_special_ids)
    context = context[:-1] if context[-1] in special else context
    ending = ending[1:] if ending[0] in special else ending
    return {"name": "hellaswag", "builder": "hellaswag", "row": row, "ids": context + ending, "labels": [-100] * (len(context) - 1) + ending + [-100]}


def text_cases(tokenizer):
    squad = {"context": "Rome is the capital of Italy.", "question": "What is the capital?", "answers": {"text": [" Rome \n", "x"], "answer_start": [0, 1]}}
    yield text_case(tokenizer, "squad", "squad", squad, "Context: Rome is the capital of Italy. Question: What is the capital? Answer: ", "Rome")
    row = {"context": "Facts: é 1.", "question": "Why?", "answer": "Because 👍 of it", "number": 12.5}
    yield text_case(tokenizer, "context_question", "columns", row, "Facts: é 1. Why? ", "Because 👍 of it")
    yield text_case(tokenizer, "question_only", "question", row, "Why? ", "Because 👍 of it")
    yield text_case(tokenizer, "everything", "everything", row, "Facts: é 1. Why? ", "Because 👍 of it", answer_only=False)
    for label in ("2", 0):
        yield hellaswag_case(tokenizer, {"ctx": "[header] How to cut. [step] A man", "endings": ["walks.", "", "is holding a knife <|im_end|>", "x"], "label": label})
    yield hellaswag_case(tokenizer, {"ctx": "ends with <|im_end|>", "endings": ["<|im_start|>starts"], "label": 0})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer)
    chats = []
    for template in TEMPLATES:
        for name, row in CHATS.items():
            if (name == "calls") == (template == "tools"):
                chats.append(chat_case(tokenizer, name, template, row))
    golden = {"templates": {name: source or tokenizer.chat_template for name, source in TEMPLATES.items()}, "chats": chats,
              "named": list(named_cases(AutoTokenizer.from_pretrained(arguments.tokenizer))), "texts": list(text_cases(tokenizer))}
    lines = ["{", f'"templates": {json.dumps(golden["templates"], ensure_ascii=False)},']
    for key in ("chats", "named", "texts"):
        cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in golden[key])
        lines.append(f'"{key}": [\n{cases}\n]{"" if key == "texts" else ","}')
    arguments.out.write_text("\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(chats)} chats ({sum('error' in case for case in chats)} refused), {len(golden['texts'])} texts")


if __name__ == "__main__":
    main()
