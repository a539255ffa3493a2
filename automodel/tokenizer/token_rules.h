// TokenRules: everything that tokenizer_config.json and its companions (special_tokens_map.json, added_tokens.json) say
// about tokens, gathered as transformers 5.17 does.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/added_tokens.h"
#include "automodel/tokenizer/source.h"

namespace automodel::tokenizer {

/// A JSON object from a file; an empty one if there is no such file. Throws DataError for any other value.
Json load_object(const std::filesystem::path& path);

struct TokenRules {
  std::vector<AddedToken> added;  // of added_tokens_decoder, in order of their ids
  std::map<std::string, AddedToken>
      named;                         // bos_token, eos_token, unk_token, sep_token, pad_token, cls_token, mask_token
  std::vector<AddedToken> specific;  // image_token and the like
  std::vector<AddedToken> extra;     // of the list of extra special tokens

  /// Throws DataError that names the file and the key.
  TokenRules(const std::filesystem::path& folder, Json config, const std::string& tokenizer_class,
             const Source& source);

  /// What is added on top of `of_source`, the tokens that the source itself adds, in order.
  std::vector<AddedToken> to_add(const std::string& tokenizer_class, const std::vector<AddedToken>& of_source) const;

  std::string text(const std::string& key) const {  // of a named token; empty: none
    const auto found = named.find(key);
    return found == named.end() ? std::string() : found->second.content;
  }

 private:
  bool names(const std::string& content) const;
  AddedToken known(AddedToken token) const;
  void read_decoder(const Json& decoder, const std::string& where);
  void read_companions(const std::filesystem::path& folder, Json& config, const Source& source);
  void read_named(const Json& config, const std::string& tokenizer_class, const Source& source,
                  const std::string& where);
  void read_extra(const Json& config, const std::string& tokenizer_class, const Source& source,
                  const std::string& where);
};

}  // namespace automodel::tokenizer
