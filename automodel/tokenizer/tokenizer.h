// Tokenizer: text to ids and back, exactly as Hugging Face tokenizers does for the same tokenizer.json.
//
// Immutable after load(); encode() may be called from several threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::tokenizer {

struct Encoding {
  std::vector<int32_t> ids;
  std::vector<std::pair<size_t, size_t>>
      offsets;  // bytes of the input text, [begin, end), one an id; special ids: (0, 0)
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// `add_special`: the post-processor's tokens (bos, eos) are added.
  virtual std::vector<int32_t> encode(std::string_view text, bool add_special) const = 0;
  virtual Encoding encode_with_offsets(std::string_view text, bool add_special) const = 0;
  virtual std::string decode(std::span<const int32_t> ids, bool skip_special = false) const = 0;

  /// Ids are in [0, vocab_size()): base vocabulary and added tokens.
  virtual int64_t vocab_size() const = 0;
  virtual std::optional<int32_t> token_to_id(std::string_view token) const = 0;
  virtual std::optional<std::string> id_to_token(int32_t id) const = 0;
  virtual bool is_special(int32_t id) const = 0;

  // From tokenizer_config.json (and special_tokens_map.json); nothing where it names none.
  std::optional<int32_t> bos_id, eos_id, pad_id;
  std::string bos_token, eos_token, pad_token, unk_token;
  std::string chat_template;  // source of the default template; empty if there is none
  Json config;                // tokenizer_config.json whole
};

/// Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json, chat_template.jinja of a folder.
/// Throws DataError naming the file and what it lacks, UnsupportedError for a component that is not there yet.
std::shared_ptr<const Tokenizer> load(const std::filesystem::path& folder);

/// The files of `folder` that make up its tokenizer, named chat templates too (to be copied beside a saved model).
std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& folder);

}  // namespace automodel::tokenizer
