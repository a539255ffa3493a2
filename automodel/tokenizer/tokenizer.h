// Tokenizer: text to ids and back, exactly as Hugging Face tokenizers does for the same tokenizer.json.
//
// Immutable after load(); encode() may be called from several threads at once.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::tokenizer {

/// Byte offsets [begin, end) of the input.
using Offsets = std::vector<std::pair<size_t, size_t>>;

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
  /// At most `max_tokens` ids, special ones among them: those of the text are cut at its end, or at its beginning if
  /// `keep_end`, as transformers' truncation=True with truncation_side does. Throws ConfigError if the special ids
  /// alone are more.
  virtual Encoding encode_truncated(std::string_view text, bool add_special, size_t max_tokens,
                                    bool keep_end = false) const;
  virtual std::string decode(std::span<const int32_t> ids, bool skip_special = false) const = 0;

  /// Ids are in [0, vocab_size()): base vocabulary and added tokens.
  virtual int64_t vocab_size() const = 0;
  virtual std::optional<int32_t> token_to_id(std::string_view token) const = 0;
  virtual std::optional<std::string> id_to_token(int32_t id) const = 0;
  virtual bool is_special(int32_t id) const = 0;

  // From tokenizer_config.json (and special_tokens_map.json); nothing where it names none.
  std::optional<int32_t> bos_id, eos_id, pad_id;
  std::string bos_token, eos_token, pad_token, unk_token;
  std::string chat_template;                          // source of the default template; empty if there is none
  std::map<std::string, std::string> chat_templates;  // by name, the default one too
  Json config;                                        // tokenizer_config.json whole

  /// The template that transformers takes for a chat: with tools, the one named "tool_use" if there is one.
  const std::string& template_for(bool with_tools) const {
    const auto found = with_tools ? chat_templates.find("tool_use") : chat_templates.end();
    return found == chat_templates.end() ? chat_template : found->second;
  }
};

/// A folder, as transformers 5.17's AutoTokenizer reads it: tokenizer.json, or a SentencePiece model, tiktoken ranks,
/// tekken.json, vocab.json with merges.txt, vocab.txt (source.h); tokenizer_config.json, special_tokens_map.json,
/// added_tokens.json (token_rules.h, class_rules.h); chat templates (template_files.h). From tekken.json <s> is put in
/// front as mistral-common does, unless add_bos_token says otherwise.
/// Or one file, by the rules of its own library: tokenizer.json, NAME.model (sentencepiece), NAME.tiktoken,
/// tekken.json. Throws DataError naming the file and what it lacks, UnsupportedError for what this build cannot read.
std::shared_ptr<const Tokenizer> load(const std::filesystem::path& place);

/// The same offsets counted in characters (code points) of `text`, as the Python libraries count them; an offset inside
/// a character counts as that character's beginning.
Offsets character_offsets(std::string_view text, const Offsets& bytes);

/// The files of `folder` that make up its tokenizer, named chat templates too (to be copied beside a saved model); a
/// file that load() was given stands for itself.
std::vector<std::filesystem::path> tokenizer_files(const std::filesystem::path& folder);

}  // namespace automodel::tokenizer
