#include "automodel/base/text.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cmath>
#include <regex>

namespace automodel {
namespace {

TEST(Wildcard, StarStandsForAnyRunAndNothingElseIsSpecial) {
  EXPECT_TRUE(wildcard_match("*_proj", "model.layers.0.q_proj"));
  EXPECT_TRUE(wildcard_match("*", ""));
  EXPECT_TRUE(wildcard_match("a*b*c", "aXXbYYbc"));
  EXPECT_TRUE(wildcard_match("**", "x"));
  EXPECT_FALSE(wildcard_match("", "x"));
  EXPECT_FALSE(wildcard_match("a*b", "a"));
  EXPECT_FALSE(wildcard_match("*_proj", "q_proj.weight"));
  EXPECT_FALSE(wildcard_match("q.proj", "q_proj"));
  EXPECT_FALSE(wildcard_match("q?proj", "q_proj"));
}

// The definition, letter by letter: matches[i][j] says whether the first i of the pattern match the first j of the
// text.
bool matches_by_definition(const std::string& pattern, const std::string& text) {
  std::vector<std::vector<bool>> matches(pattern.size() + 1, std::vector<bool>(text.size() + 1));
  matches[0][0] = true;
  for (size_t i = 1; i <= pattern.size(); ++i)
    for (size_t j = 0; j <= text.size(); ++j)
      matches[i][j] = pattern[i - 1] == '*' ? matches[i - 1][j] || (j > 0 && matches[i][j - 1])
                                            : j > 0 && matches[i - 1][j - 1] && pattern[i - 1] == text[j - 1];
  return matches[pattern.size()][text.size()];
}

TEST(Wildcard, IsItsDefinition) {
  EXPECT_TRUE(rc::check([] {
    const auto word = [](const char* letters) {
      return rc::gen::container<std::string>(rc::gen::elementOf(std::string(letters)));
    };
    const auto pattern = *word("ab*"), text = *word("ab");
    RC_ASSERT(wildcard_match(pattern, text) == matches_by_definition(pattern, text));
    // Random words seldom match: a pattern made from the text does.
    std::string made = text;
    for (size_t at = 0; at + 1 < made.size(); at += 3) made.replace(at, 2, "*");
    RC_ASSERT(wildcard_match(made, text));
  }));
}

TEST(EditDistance, CountsSwapsAsOne) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("batch", "bacth"), 1u);
  EXPECT_EQ(edit_distance("hidden_sizes", "hidden_size"), 1u);
}

TEST(Nearest, NamesOnlyWhatMayBeMeant) {
  const std::vector<std::string> keys = {"hidden_size", "head_dim", "vocab_size"};
  EXPECT_EQ(nearest("hiden_size", keys), "hidden_size");
  EXPECT_EQ(nearest("vocabsize", keys), "vocab_size");
  EXPECT_EQ(nearest("learning_rate", keys), "");
  EXPECT_EQ(nearest("", keys), "");
  EXPECT_EQ(nearest("x", {}), "");
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(split("a,,b,", ','), (std::vector<std::string>{"a", "", "b", ""}));
  EXPECT_EQ(split("", ','), std::vector<std::string>{""});
  EXPECT_EQ(join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(replace_all("aaa", "a", "aa"), "aaaaaa");
}

TEST(Utf8, FindsTheFirstByteThatIsWrong) {
  EXPECT_EQ(find_invalid_utf8("plain, \xC3\xA9, \xE2\x82\xAC, \xF0\x9F\x98\x80"), std::string::npos);
  EXPECT_EQ(find_invalid_utf8("ab\xFF"), 2u);
  EXPECT_EQ(find_invalid_utf8("a\x80"), 1u);             // a continuation byte alone
  EXPECT_EQ(find_invalid_utf8("a\xC3"), 1u);             // cut off
  EXPECT_EQ(find_invalid_utf8("\xC0\xAF"), 0u);          // overlong
  EXPECT_EQ(find_invalid_utf8("\xE0\x80\x80"), 0u);      // overlong
  EXPECT_EQ(find_invalid_utf8("\xED\xA0\x80"), 0u);      // a surrogate
  EXPECT_EQ(find_invalid_utf8("\xF4\x90\x80\x80"), 0u);  // beyond U+10FFFF
  EXPECT_EQ(find_invalid_utf8("\xF8\x88\x80\x80\x80"), 0u);
}

TEST(Utf8, TakesEveryCodePoint) {
  for (uint32_t point = 0; point <= 0x10FFFF; ++point) {
    std::string text;
    if (point < 0x80)
      text = {static_cast<char>(point)};
    else if (point < 0x800)
      text = {static_cast<char>(0xC0 | point >> 6), static_cast<char>(0x80 | (point & 63))};
    else if (point < 0x10000)
      text = {static_cast<char>(0xE0 | point >> 12), static_cast<char>(0x80 | (point >> 6 & 63)),
              static_cast<char>(0x80 | (point & 63))};
    else
      text = {static_cast<char>(0xF0 | point >> 18), static_cast<char>(0x80 | (point >> 12 & 63)),
              static_cast<char>(0x80 | (point >> 6 & 63)), static_cast<char>(0x80 | (point & 63))};
    const bool surrogate = point >= 0xD800 && point < 0xE000;
    ASSERT_EQ(find_invalid_utf8(text), surrogate ? 0 : std::string::npos) << point;
  }
}

TEST(Format, SaysSizesCountsAndTimesAsPeopleReadThem) {
  EXPECT_EQ(format_bytes(17), "17 B");
  EXPECT_EQ(format_bytes(1536), "1.50 KiB");
  EXPECT_EQ(format_bytes(uint64_t{3} << 29), "1.50 GiB");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(26'100'000), "26.1M");
  EXPECT_EQ(format_duration(12), "12 s");
  EXPECT_EQ(format_duration(245), "4:05");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(59.7), "1:00");
  EXPECT_EQ(format_duration(NAN), "?");
  EXPECT_TRUE(std::regex_match(timestamp_utc(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)")))
      << timestamp_utc();
}

}  // namespace
}  // namespace automodel
