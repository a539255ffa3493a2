// A template cannot run for ever, allocate without bound, overflow the stack, or reach anything outside its variables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "automodel/base/error.h"
#include "automodel/tokenizer/chat_template.h"

namespace automodel::tokenizer {

namespace {

std::string fault(const std::string& source, const Json& variables = Json::object(),
                  const RenderOptions& options = {}) {
  try {
    return "rendered: " + ChatTemplate::parse(source, "chat.jinja").render(variables, options).text.substr(0, 200);
  } catch (const DataError& error) {
    return error.what();
  }
}

std::string repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

using testing::HasSubstr;

}  // namespace

TEST(TemplateLimits, LoopsEnd) {
  const std::string big = "{% set r = range(100000) %}";
  EXPECT_THAT(fault(big + "{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}"),
              HasSubstr("more steps than the limit"));
  EXPECT_THAT(fault(big + "{% for a in r %}{% if r|list == r|list %}{% endif %}{% endfor %}"), HasSubstr("more"));
  EXPECT_THAT(fault(big + "{% for a in r %}{{ r|sum }}{% endfor %}"), HasSubstr("more steps than the limit"));
  EXPECT_THAT(fault(big + "{% set s = 'ab' * 10000000 %}{% for a in r %}{% if 'b' * 9 in s %}{% endif %}{% endfor %}"),
              HasSubstr("more steps"));
  EXPECT_THAT(fault("{% for x in range(100001) %}{% endfor %}"), HasSubstr("range too big"));
}

TEST(TemplateLimits, ExponentialValuesEnd) {
  const std::string doubling =
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(60) %}{% set ns.a = [ns.a, ns.a] %}"
      "{% set ns.b = [ns.b, ns.b] %}{% endfor %}";
  EXPECT_THAT(fault(doubling + "{{ ns.a == ns.b }}"), HasSubstr("more"));
  EXPECT_THAT(fault(doubling + "{{ ns.a }}"), HasSubstr("more"));
  EXPECT_THAT(fault(doubling + "{{ ns.a|tojson }}"), HasSubstr("more"));
  EXPECT_THAT(fault(doubling + "{{ ns.a < ns.b }}"), HasSubstr("more"));
  EXPECT_THAT(fault("{% set ns = namespace(t=(1,)) %}{% for i in range(60) %}{% set ns.t = (ns.t, ns.t) %}{% endfor "
                    "%}{{ {ns.t: 1} }}"),
              HasSubstr("more"));
}

TEST(TemplateLimits, BytesAreBounded) {
  EXPECT_THAT(fault("{{ 'a' * 100000000 }}"), HasSubstr("more bytes in one value"));
  EXPECT_THAT(fault("{{ [0] * 100000000 }}"), HasSubstr("more bytes in one value"));
  EXPECT_THAT(fault("{{ 'a' * 9223372036854775807 }}"), HasSubstr("more bytes in one value"));
  EXPECT_THAT(
      fault("{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"),
      HasSubstr("more bytes"));
  EXPECT_THAT(
      fault("{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}"),
      HasSubstr("more bytes"));
  EXPECT_THAT(fault("{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}"),
              HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ 'a'.center(9999999999) }}"), HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ 'a'|center(9999999999) }}"), HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ 'a'.zfill(9999999999) }}"), HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ '\t'.expandtabs(9999999999) }}"), HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ '%9999999999d' % 1 }}"), HasSubstr("width or precision"));
  EXPECT_THAT(fault("{{ '{:9999999999}'.format(1) }}"), HasSubstr("width or precision"));
  EXPECT_THAT(fault("{{ 'a' | indent(9999999999, true) }}"), HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ [1]|tojson(indent=9999999999) }}"), HasSubstr("too wide"));
  EXPECT_THAT(fault("{{ ('a' * 10000).replace('', 'b' * 10000) }}"), HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ ('b' * 10000).join('a' * 10000) }}"), HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ [1]|batch(9999999999, 0)|list }}"), HasSubstr("more bytes"));
  EXPECT_THAT(fault("{{ [1]|slice(9999999999)|list }}"), HasSubstr("more"));
  EXPECT_THAT(fault("{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}"), HasSubstr("more bytes"));
}

TEST(TemplateLimits, DepthIsBounded) {
  EXPECT_THAT(fault("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("more levels of nesting"));
  EXPECT_THAT(fault("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"), HasSubstr("more levels of nesting"));
  EXPECT_THAT(
      fault("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}"),
      HasSubstr("more levels of nesting"));
  EXPECT_THAT(
      fault("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}done"),
      "rendered: done");
  EXPECT_THAT(fault("{% set ns = namespace(g=[1]) %}{% for i in range(100000) %}{% set ns.g = ns.g|map('string') %}{% "
                    "endfor %}{{ ns.g|list }}"),
              HasSubstr("more levels of nesting"));
  EXPECT_THAT(fault("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}"), HasSubstr("more levels of nesting"));
  EXPECT_THAT(fault("{{ " + repeat("(", 5000) + "1" + repeat(")", 5000) + " }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(fault("{{ " + repeat("[", 5000) + repeat("]", 5000) + " }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(fault("{{ " + repeat("not ", 5000) + "1 }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(fault("{{ " + repeat("-", 5000) + "1 }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(fault("{{ 1" + repeat(" + 1", 5000) + " }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(fault("{{ x" + repeat(".y", 5000) + " }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(fault("{{ x" + repeat("|upper", 5000) + " }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(fault("{{ 1" + repeat(" if 1 else 1", 5000) + " }}"), HasSubstr("nested deeper"));
  EXPECT_THAT(fault(repeat("{% if 1 %}", 5000) + repeat("{% endif %}", 5000)), HasSubstr("nested deeper"));
  EXPECT_THAT(fault("{% if 1 %}" + repeat("{% elif 1 %}", 5000) + "{% endif %}"), HasSubstr("branches"));
  EXPECT_THAT(fault("{{ 'a'" + repeat(" ~ 'a'", 5000) + " }}"), HasSubstr("rendered: aaaa"));
}

TEST(TemplateLimits, TheCallerSetsThem) {
  RenderOptions options;
  options.max_steps = 100;
  EXPECT_THAT(fault("{% for i in range(1000) %}{{ i }}{% endfor %}", Json::object(), options),
              HasSubstr("more steps than the limit of 100"));
  options = {};
  options.max_output_bytes = 1000;
  EXPECT_THAT(fault(repeat("0123456789", 101), Json::object(), options),
              HasSubstr("more bytes of output than the limit of 1000"));
  EXPECT_EQ(fault(repeat("0", 100), Json::object(), options), "rendered: " + repeat("0", 100));
}

TEST(TemplateLimits, NothingOutsideIsReached) {
  for (const char* tag :
       {"include '/etc/passwd'", "import '/etc/passwd' as x", "from '/etc/passwd' import x", "extends '/etc/passwd'"}) {
    EXPECT_THAT(fault(std::string("{% ") + tag + " %}"), HasSubstr("cannot load other templates"));
  }
  EXPECT_THAT(fault("{{ ''.__class__.__mro__ }}"), HasSubstr("unsafe"));
  EXPECT_THAT(fault("{{ [].append(1) }}"), HasSubstr("unsafe"));
  EXPECT_THAT(fault("{{ {}.update({}) }}"), HasSubstr("unsafe"));
  EXPECT_THAT(fault("{{ open('/etc/passwd') }}"), HasSubstr("'open' is undefined"));
}

TEST(TemplateErrors, SayWhereAndWhat) {
  EXPECT_EQ(fault("a\n{{ b.c }}\n"), "chat.jinja:2: 'b' is undefined");
  EXPECT_EQ(fault("\n\n{{ raise_exception('roles must alternate') }}"), "chat.jinja:3: roles must alternate");
  EXPECT_EQ(fault("{% if x %}\n"),
            "chat.jinja:1: unexpected end of the template; expected 'elif' or 'else' or 'endif' to close 'if'");
  EXPECT_EQ(fault("{{ d.x.y }}", {{"d", Json::object()}}), "chat.jinja:1: 'dict object' has no attribute 'x'");
  EXPECT_EQ(fault("\n{{ 'a' + 1 }}"), "chat.jinja:2: can only concatenate str (not \"int\") to str");
  EXPECT_EQ(fault("{% macro m(a) %}\n{{ a.b.c }}\n{% endmacro %}\n{{ m({}) }}"),
            "chat.jinja:2: 'dict object' has no attribute 'b'");
  EXPECT_EQ(fault("x\n{{ 1 | nope }}"), "chat.jinja:2: no filter named 'nope'");
  EXPECT_EQ(fault("{{ 9223372036854775807 + 1 }}"),
            "chat.jinja:1: the result of + does not fit 64 bits; templates compute with 64-bit integers here");
  EXPECT_THAT(fault("x", Json::array()), HasSubstr("must be a JSON object"));
}

TEST(Generation, SpansCountBytes) {
  const auto chat = ChatTemplate::parse("é{% generation %}ü{% endgeneration %}|{% generation %}{% endgeneration %}");
  EXPECT_TRUE(chat.marks_generation());
  const auto rendered = chat.render(Json::object());
  EXPECT_EQ(rendered.text, "éü|");
  EXPECT_EQ(rendered.generation, (std::vector<std::pair<size_t, size_t>>{{2, 4}, {5, 5}}));
  EXPECT_FALSE(rendered.generation_misplaced);
}

TEST(Generation, InsideAMacroItIsMisplaced) {
  const auto chat = ChatTemplate::parse("{% macro m() %}{% generation %}a{% endgeneration %}{% endmacro %}{{ m() }}");
  const auto rendered = chat.render(Json::object());
  EXPECT_EQ(rendered.text, "a");
  EXPECT_TRUE(rendered.generation.empty());
  EXPECT_TRUE(rendered.generation_misplaced);
}

TEST(ChatTemplateThreads, OneTemplateRendersInSeveralThreads) {
  const auto chat = ChatTemplate::parse(
      "{% for m in messages %}{{ '<' + m.role + '>' + m.content|trim + missing|default('') }}{% if m.x %}{% endif %}{% "
      "endfor %}");
  const Json variables = {
      {"messages", {{{"role", "user"}, {"content", " hi "}}, {{"role", "assistant"}, {"content", "ho"}}}}};
  std::vector<std::thread> threads;
  std::vector<int> equal(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) equal[t] += chat.render(variables).text == "<user>hi<assistant>ho";
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 500));
}

}  // namespace automodel::tokenizer
