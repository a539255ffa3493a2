#include "automodel/tokenizer/differential_texts.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

namespace {

constexpr const char* kParts[] = {"the",
                                  "Hello",
                                  "world",
                                  "I'm",
                                  "we'LL",
                                  "it'S",
                                  "12345",
                                  "foo_bar",
                                  "na\u00EFve",
                                  "stra\u00DFe",
                                  "  ",
                                  "\n",
                                  "\n\n",
                                  "\t",
                                  " \n ",
                                  "\r\n",
                                  "\u65E5\u672C\u8A9E",
                                  "\uD55C\uAD6D\uC5B4",
                                  "\u0E44\u0E17\u0E22",
                                  "\u0939\u093F\u0928\u094D\u0926\u0940",
                                  "\U0001F600",
                                  "\U0001F469\u200D\U0001F469\u200D\U0001F467",
                                  "e\u0301",
                                  "\u1112\u1161\u11AB",
                                  "'\u017F",
                                  "\u212A",
                                  "\u0130",
                                  "\u00BC",
                                  "\u0663",
                                  "\u2167",
                                  "...",
                                  "!?",
                                  "\u20AC",
                                  "\u200B",
                                  "\u00A0",
                                  "\u3000",
                                  "\uFEFF",
                                  "\u2028",
                                  "\u2581",
                                  "\u2581\u2581",
                                  "\x01",
                                  "\x7F",
                                  "\u0085",
                                  "\u0120",
                                  "<0x41>",
                                  "\u180E",
                                  "\u2047",
                                  "``",
                                  "''",
                                  "<s>",
                                  "<unk>",
                                  "##ing",
                                  "\u1E9E",
                                  "\uFB01",
                                  "\uFF26"};

// Blocks and single code points that Unicode 14 to 17 have added.
constexpr uint32_t kNew[][2] = {{0xA7C0, 0xA7DC},   {0x1C89, 0x1C8A},   {0x10D40, 0x10D8F}, {0x1E4D0, 0x1E4F9},
                                {0x11F00, 0x11F59}, {0x31350, 0x323AF}, {0x2EBF0, 0x2EE5D}, {0x1E5D0, 0x1E5FF},
                                {0x16D40, 0x16D79}, {0x1CC00, 0x1CEB3}, {0x1E030, 0x1E08F}, {0x1FAE0, 0x1FAFF},
                                {0x0870, 0x08FF},   {0x2FFC, 0x2FFF},   {0x105C0, 0x105F3}, {0x1DF25, 0x1DF2A}};

uint32_t random_code(std::mt19937_64& random, uint64_t kind) {
  if (kind < 15) return 0xA0 + random() % 0x2F60;
  if (kind < 17) return random() % 2 ? 0x300 + random() % 0x70 : 0xAC00 + random() % 0x2BA4;
  if (kind < 18) return 0x10000 + random() % 0x22000;
  if (kind < 19) return random() % 0x110000;
  const auto& range = kNew[random() % std::size(kNew)];
  return range[0] + random() % (range[1] - range[0] + 1);
}

}  // namespace

std::string fuzzed_text(std::mt19937_64& random, const std::vector<std::string>& added) {
  std::string text;
  for (auto n = random() % 40; n > 0; --n) {
    const auto kind = random() % 20;
    if (kind < 6) {
      text += kParts[random() % std::size(kParts)];
    } else if (kind < 8 && !added.empty()) {
      text += added[random() % added.size()];
    } else if (kind < 10) {
      text.append(random() % 5 + 1, ' ');
    } else if (kind < 13) {
      text += static_cast<char>(33 + random() % 94);
    } else {
      const uint32_t code = random_code(random, kind);
      if (code < 0xD800 || code >= 0xE000) append_utf8(text, code);
    }
    if (random() % 3 == 0) text += ' ';
    if (random() % 200 == 0) text += '\0';
    if (random() % 4000 == 0) {
      std::string unit(kParts[random() % std::size(kParts)]);
      if (random() % 2) append_utf8(unit, 0x300 + random() % 0x70);
      for (auto times = random() % 1500; times > 0; --times) text += unit;
    }
  }
  return text;
}

std::vector<std::string> real_texts(const std::filesystem::path& assets, size_t bytes) {
  std::vector<std::string> texts;
  for (const char* name : {"datasets/tinyshakespeare/input.txt", "tokenizers/sentencepiece/botchan.txt",
                           "tokenizers/tiktoken/TestPlans.txt"}) {
    const std::string text = read_file(assets / name).substr(0, bytes);
    for (size_t at = 0, end; at < text.size(); at = end + 1) {
      end = std::min(text.find('\n', at), text.size());
      if (find_invalid_utf8(text.substr(at, end - at)) == std::string::npos) texts.push_back(text.substr(at, end - at));
    }
  }
  return texts;
}

TEST(DifferentialTexts, AreValidAndFollowTheSeed) {
  std::mt19937_64 one(7), two(7);
  bool nul = false;
  for (int i = 0; i < 2000; ++i) {
    const std::string text = fuzzed_text(one, {"<x>"});
    EXPECT_EQ(find_invalid_utf8(text), std::string::npos);
    EXPECT_EQ(text, fuzzed_text(two, {"<x>"}));
    nul |= text.find('\0') != std::string::npos;
  }
  EXPECT_TRUE(nul);
}

}  // namespace automodel::tokenizer
