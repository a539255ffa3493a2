// Reading tokenizer.json: vocabulary and merges straight into tables in one pass, the rest as JSON.
#pragma once

#include <filesystem>
#include <string>

#include "automodel/base/json.h"
#include "automodel/tokenizer/model.h"

namespace automodel::tokenizer {

struct TokenizerFile {
  Json rest;  // the whole object; "model" without vocab and merges
  ModelFile model;
  std::string text;  // the file's bytes, which model.merges points into
};

/// Throws DataError{"file:line:column"} for what is not JSON, not UTF-8 or not of the right type, for ids that are
/// repeated or not in [0, 2^24) and for repeated tokens; SystemError if the file cannot be read or is larger than 1
/// GiB.
TokenizerFile read_tokenizer_file(const std::filesystem::path& path);
TokenizerFile parse_tokenizer_file(std::string text, const std::string& name);

/// The value of "vocab" that comes next: an object of token -> id, or a list of [token, score]. `file_bytes`: the size
/// of the file, which bounds what is reserved.
class JsonCursor;
void read_vocabulary(JsonCursor& in, ModelFile& model, size_t file_bytes);

}  // namespace automodel::tokenizer
