// A tokenizer for tests of this room: one id a byte, and a few special tokens.
#pragma once

#include <nlohmann/json.hpp>

#include "automodel/data/sample.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::data {

/// Ids 0..255 are bytes; 256 "<s>", 257 "</s>", 258 "<|im_start|>", 259 "<|im_end|>". With `join_spaces`, a space and
/// the letter after it are one token (300 + letter), so that tokens can lie across the border of prompt and answer.
class ByteTokenizer : public tokenizer::Tokenizer {
 public:
  static constexpr int32_t kBos = 256, kEos = 257, kStart = 258, kEnd = 259;

  explicit ByteTokenizer(bool join_spaces = false) : join_spaces_(join_spaces) {
    bos_id = kBos;
    eos_id = kEos;
    bos_token = "<s>";
    eos_token = "</s>";
    config = Json::object();
  }
  bool add_bos = true;  // what the post-processor does
  bool add_eos = false;

  std::vector<int32_t> encode(std::string_view text, bool add_special) const override {
    return encode_with_offsets(text, add_special).ids;
  }

  tokenizer::Encoding encode_with_offsets(std::string_view text, bool add_special) const override {
    tokenizer::Encoding out;
    const auto add = [&](int32_t id, size_t begin, size_t end) {
      out.ids.push_back(id);
      out.offsets.emplace_back(begin, end);
    };
    if (add_special && add_bos) add(kBos, 0, 0);
    for (size_t i = 0; i < text.size();) {
      size_t special = 0;
      while (special < 4 && !text.substr(i).starts_with(kSpecial[special])) ++special;
      if (special < 4) {
        const size_t end = i + std::string_view(kSpecial[special]).size();
        add(kBos + static_cast<int32_t>(special), i, end);
        i = end;
      } else if (join_spaces_ && text[i] == ' ' && i + 1 < text.size() &&
                 std::isalpha(static_cast<unsigned char>(text[i + 1]))) {
        add(300 + static_cast<unsigned char>(text[i + 1]), i, i + 2);
        i += 2;
      } else {
        add(static_cast<unsigned char>(text[i]), i, i + 1);
        ++i;
      }
    }
    if (add_special && add_eos) add(kEos, 0, 0);
    return out;
  }

  std::string decode(std::span<const int32_t> ids, bool skip_special) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (id < 256)
        text += static_cast<char>(id);
      else if (id < 260)
        text += skip_special ? "" : kSpecial[id - kBos];
      else
        text += {' ', static_cast<char>(id - 300)};
    }
    return text;
  }
  int64_t vocab_size() const override { return 556; }
  std::optional<int32_t> token_to_id(std::string_view token) const override {
    for (int32_t i = 0; i < 4; ++i)
      if (token == kSpecial[i]) return kBos + i;
    return std::nullopt;
  }
  std::optional<std::string> id_to_token(int32_t id) const override { return decode({&id, 1}, false); }
  bool is_special(int32_t id) const override { return id >= kBos && id <= kEnd; }

 private:
  static constexpr const char* kSpecial[4] = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"};
  bool join_spaces_;
};

/// The trained text of a sample, one '|' where it is interrupted.
inline std::string trained_text(const Sample& sample) {
  std::string text;
  for (size_t t = 0; t < sample.labels.size(); ++t) {
    if (sample.labels[t] != kNotTrained)
      text += ByteTokenizer().decode({&sample.labels[t], 1}, false);
    else if (!text.empty() && text.back() != '|')
      text += '|';
  }
  return text;
}

}  // namespace automodel::data
