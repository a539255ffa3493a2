// Source: the file of a folder that holds its vocabulary, brought into the shape of a tokenizer.json.
//
// Which file that is, and what becomes of it, follows transformers 5.17 (PreTrainedTokenizerBase.from_pretrained and
// TokenizersBackend.convert_to_native_format): tokenizer.json; else tekken.json, tokenizer.model or tiktoken.model;
// else the file that the class names (spiece.model, vocab.json with merges.txt, vocab.txt). (A folder that has none of
// them, but mistral-common's tokenizer.model.v3: mistral_model.h.)
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/added_tokens.h"
#include "automodel/tokenizer/tokenizer_file.h"

namespace automodel::tokenizer {

struct Source {
  std::filesystem::path path;
  TokenizerFile file;
  bool is_tokenizer_json = false;
  bool whole = false;             // normalizer, pre-tokenizer, decoder are set: no class has a say in them
  std::vector<AddedToken> extra;  // pieces that become extra tokens unless tokenizer_config.json names some
  Json named = Json::object();    // bos_token, ... where neither tokenizer_config.json nor the class names one
};

/// `tokenizer_class` as of tokenizer_class(). Throws DataError naming the folder and what it lacks, or
/// UnsupportedError for a file that the class does not read, or whose pattern and special tokens it does not hold.
Source read_source(const std::filesystem::path& folder, const std::string& tokenizer_class,
                   const Json& tokenizer_config);

}  // namespace automodel::tokenizer
