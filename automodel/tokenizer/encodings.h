// Encodings: ranks with the split pattern and the special tokens that belong to them.
//
// A tiktoken file holds ranks alone. Pattern and special tokens are known for tiktoken's own encodings (by the file's
// name), for Qwen-1's qwen.tiktoken, and are inside a tekken.json.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/pipeline.h"
#include "automodel/tokenizer/rank_file.h"
#include "automodel/tokenizer/tokenizer_file.h"

namespace automodel::tokenizer {

struct SpecialId {
  std::string text;
  int32_t id = 0;
};

struct EncodingRules {
  std::string pattern;
  std::vector<SpecialId> special_tokens;
  bool nfc = false;       // text is brought to NFC first
  std::string end_token;  // eos
};

/// By name: "gpt2", "r50k_base", "p50k_base", "cl100k_base", "o200k_base" (source: tiktoken_ext/openai_public.py),
/// "qwen" (source: Qwen-1's tokenization_qwen.py). Nothing for other names.
std::optional<EncodingRules> encoding_rules(const std::string& name);

/// All of a tokenizer.json but the model: split by `pattern`, then byte level; `added` are special tokens.
Json byte_pair_parts(const std::string& pattern, const std::vector<std::string>& added);

/// Special tokens by id, then the ranks.
void fill_from_tekken(const TekkenFile& tekken, MergeOrder order, TokenizerFile& file, const std::string& where);

/// NAME.tiktoken by encoding_rules(NAME). Throws UnsupportedError that says what is missing for other names.
TokenizerFile read_encoding(const std::filesystem::path& path);

/// One file by the rules of the library it belongs to: tokenizer.json (tokenizers), NAME.tiktoken (tiktoken), a file
/// whose name holds "tekken" (mistral-common: <s> in front; but special tokens are found in text).
std::shared_ptr<Pipeline> load_encoding(const std::filesystem::path& path);

}  // namespace automodel::tokenizer
