// Byte-pair ranks: tiktoken's files ("base64 rank" a line) and Mistral's tekken.json, and the BPE that follows from
// them.
//
// A rank is a token's id and its turn: of all neighbours whose bytes together are a token, those of the lowest rank are
// joined first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/tokenizer/model.h"

namespace automodel::tokenizer {

struct RankedToken {
  std::string bytes;
  int32_t rank = 0;
};

/// Reads the lines of a tiktoken file. Throws DataError{"name:line"} for what is not "base64 rank", ranks or tokens
/// that come twice, ranks from 2^24, and empty tokens.
std::vector<RankedToken> parse_tiktoken(std::string_view text, const std::string& name);

/// What tekken.json tells. Ids: the special tokens come first, then vocab (id = rank + special_tokens.size()).
struct TekkenFile {
  std::string pattern;
  std::vector<RankedToken> vocab;           // as many as config.default_vocab_size leaves room for
  std::vector<std::string> special_tokens;  // by id; places that are not named are "<SPECIAL_id>"
};

/// Source: mistral_common's Tekkenizer.from_file. Throws DataError{"name: key"} for keys that are missing or of the
/// wrong type, special tokens whose ranks are not 0, 1, 2, ..., and vocabularies larger than 2^24.
TekkenFile parse_tekken(std::string_view text, const std::string& name);

/// Which of two splits of one token is joined first.
enum class MergeOrder {
  kLibrary,   // as transformers converts ranks: by (rank, rank of the left part, rank of the right part)
  kTiktoken,  // leftmost: all splits of a token have its rank
};

/// The byte-level BPE of the ranks, with `first_id` added to them; whole pieces that are tokens are taken as they are
/// (ignore_merges). Throws DataError{where} if a token is the text of a special one; for kTiktoken, if a byte is no
/// token.
void fill_from_ranks(const std::vector<RankedToken>& ranks, int32_t first_id, MergeOrder order, ModelFile& model,
                     const std::string& where);

}  // namespace automodel::tokenizer
