// The hand-written scanners against PCRE2 running the same expressions, on random text.
#include "automodel/tokenizer/scanner.h"

#include <gtest/gtest.h>

#include <random>

#include "automodel/base/error.h"
#include "automodel/tokenizer/pattern.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {
namespace {

const char* const kExpressions[] = {
    kGpt2Expression,
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| "
    "?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    R"(\p{N}{1,3})",
    R"(\p{N})",
    "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"};

std::string random_text(std::mt19937& random) {
  static const char* const kWords[] = {
      "the",    "Ab",         "'s",     "'S",     "'ll",    "'VE",    "'\u017F",    "'",         " ",
      "  ",     "\n",         "\r\n",   "\t",     "1",      "123",    ".",          "(",         "_",
      "\u00E9", "e\u0301",    "\u4E16", "\u3042", "\u00A0", "\u3000", "\u2028",     "\u0660",    "\u00BD",
      "\u2167", "\U0001F600", "\u20AC", "\u0085", "\u180E", "\u200B", "\U0001FAE8", "\U00031350"};
  std::string text;
  for (int i = static_cast<int>(random() % 20); i >= 0; --i) {
    if (random() % 8) {
      text += kWords[random() % std::size(kWords)];
      continue;
    }
    uint32_t code = random() % 4 ? random() % 0x3000 : random() % 0x110000;
    if (code >= 0xD800 && code < 0xE000) code = 'x';
    append_utf8(text, code);
  }
  return text;
}

TEST(Scanner, MatchesAsPcreDoes) {
  std::mt19937 random(20261123);
  MatchScratch scratch;
  for (const char* expression : kExpressions) {
    const Pattern scanned = Pattern::regex(expression, "test");
    ASSERT_NE(scanned.scanner(), nullptr) << expression;
    const Pattern compiled = Pattern::regex(expression, "test", false);
    ASSERT_EQ(compiled.scanner(), nullptr);
    for (int i = 0; i < 1500; ++i) {
      const std::string text = random_text(random);
      Matches a(scanned, text, scratch), b(compiled, text, scratch);
      size_t a_begin = 0, a_end = 0, b_begin = 0, b_end = 0;
      while (true) {
        const bool more = a.next(a_begin, a_end);
        ASSERT_EQ(more, b.next(b_begin, b_end)) << expression << "\n" << text;
        if (!more) break;
        ASSERT_EQ(a_begin, b_begin) << expression << "\n" << text;
        ASSERT_EQ(a_end, b_end) << expression << "\n" << text;
      }
    }
  }
}

TEST(Pattern, RefusesSyntaxThatMeansSomethingElse) {
  for (const char* expression : {"[a[bc]]", "a{1,2}+", "(?m)a.b", "[\\S]"})
    EXPECT_THROW(Pattern::regex(expression, "test"), UnsupportedError) << expression;
  EXPECT_THROW(Pattern::regex("(a", "test"), DataError);
}

TEST(Pattern, TranslatesOnigurumasClasses) {
  MatchScratch scratch;
  size_t begin = 0, end = 0;
  const auto finds = [&](const char* expression, const char* text) {
    return Pattern::regex(expression, "test").find(text, 0, begin, end, scratch);
  };
  EXPECT_TRUE(finds(R"(\h)", "f"));  // a hex digit, not a blank
  EXPECT_FALSE(finds(R"(\h)", " "));
  EXPECT_FALSE(finds(R"(\s)", "\u180E"));        // not white space since Unicode 6.3
  EXPECT_TRUE(finds(R"(\p{L})", "\U00031350"));  // assigned in Unicode 15
  EXPECT_TRUE(finds(R"(^\p{Lu}$)", "\uA7CB"));   // Unicode 16
  EXPECT_TRUE(finds(R"([\p{L}&&[^\p{Han}]])", "a"));
  EXPECT_FALSE(finds(R"([\p{L}&&[^\p{Han}]])", "\u4E16"));
}

}  // namespace
}  // namespace automodel::tokenizer
