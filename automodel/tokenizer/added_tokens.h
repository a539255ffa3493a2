// AddedTokens: the tokens on top of the model's vocabulary, and how they are found in text before anything else.
//
// Two passes, as in the `tokenizers` library: tokens with normalized = false are searched in the text as it is, the
// others, in their normalized form, in the normalized rest. Leftmost-longest; single_word, lstrip and rstrip then bend
// the matches.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/merge_table.h"
#include "automodel/tokenizer/model.h"
#include "automodel/tokenizer/normalized.h"
#include "automodel/tokenizer/normalizer.h"

namespace automodel::tokenizer {

struct AddedToken {
  std::string content;
  bool single_word = false, lstrip = false, rstrip = false, normalized = true, special = false;
  bool operator==(const AddedToken&) const = default;
};

/// From one object of "added_tokens" or "added_tokens_decoder". Throws DataError{where}.
AddedToken read_added_token(const Json& config, const std::string& where);

class AddedTokens {
 public:
  /// Takes over tokens in order. A token of the model keeps its id; a new one gets the next id after vocabulary and
  /// added tokens, whatever the file says (the library does so). Equal ones are skipped, changed ones replace their
  /// flags.
  void add(const std::vector<AddedToken>& tokens, const Model& model, const Normalizer* normalizer);

  /// Builds the search. Throws DataError{where} if two tokens read the same once normalized, or one reads empty.
  void finish(const std::string& where);

  /// Cuts text[begin, end) into pieces; pieces with an id are tokens. `normalized` chooses the pass. Appends to `out`.
  void split(std::string_view text, uint32_t begin, uint32_t end, bool normalized, std::vector<Piece>& out) const;

  bool any(bool normalized) const { return search_[normalized].any; }
  bool contains(int32_t id) const { return by_id_.contains(id); }
  int32_t find(std::string_view content) const;  // -1: none
  const std::string& content(int32_t id) const { return by_id_.at(id).content; }
  const std::string& decoded(int32_t id) const;  // what a decoder sees: the normalized form
  bool special(int32_t id) const;
  bool is_special_text(std::string_view text) const { return special_.contains(std::string(text)); }
  int32_t end_id() const { return end_id_; }  // one more than the largest id, 0 if there is none

 private:
  struct Search {
    MergeTable trie;  // (node, byte) -> next node
    std::vector<int32_t> leaves = {-1};
    std::array<bool, 256> first{};
    bool any = false;
  };
  size_t longest_match(const Search& search, std::string_view text, size_t at, int32_t& id) const;

  std::unordered_map<int32_t, AddedToken> by_id_;
  std::unordered_map<std::string, int32_t> by_content_;
  std::unordered_map<int32_t, std::string> normalized_;  // where it differs from the content
  std::unordered_set<std::string> special_;
  std::array<Search, 2> search_;
  int32_t end_id_ = 0;
};

}  // namespace automodel::tokenizer
