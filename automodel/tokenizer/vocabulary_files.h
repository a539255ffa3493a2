// The files older than tokenizer.json: vocab.json with merges.txt (byte-level BPE), vocab.txt (WordPiece).
#pragma once

#include <string>
#include <string_view>

#include "automodel/tokenizer/model.h"

namespace automodel::tokenizer {

/// vocab.json: an object of token -> id. Throws DataError{"name:line:column"} as read_tokenizer_file() does.
void read_vocab_json(std::string_view text, const std::string& name, ModelFile& model);

/// merges.txt: two tokens a line with one space between, in order; lines that start with "#version" are left out.
/// Throws DataError{"name:line"} for other lines, empty ones included, as the library does.
void read_merges_txt(std::string_view text, const std::string& name, ModelFile& model);

/// vocab.txt: a token a line, its id is the line's number from 0; blanks at a line's end do not count; of a token that
/// comes twice the last line holds. Throws DataError{"name:line"} for what is not UTF-8, or more than 2^24 lines.
void read_vocab_txt(std::string_view text, const std::string& name, ModelFile& model);

}  // namespace automodel::tokenizer
