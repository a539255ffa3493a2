// A chunk of JSON lines as the documents of each key.
#pragma once

#include <memory>

#include "automodel/data/preprocess.h"
#include "automodel/data/preprocess_lines.h"
#include "automodel/data/preprocess_output.h"

namespace automodel::data {

struct EncodedChunk {
  std::vector<EncodedDocuments> keys;  // as options.keys
  int64_t documents = 0, tokens = 0, bad_rows = 0;
};

class PreprocessEncoder {
 public:
  /// Throws ConfigError for append_eod without an eos token, or no or repeated keys.
  PreprocessEncoder(const PreprocessOptions& options, std::shared_ptr<const tokenizer::Tokenizer> tokenizer);
  MegatronType type() const { return type_; }
  /// May be called from several threads. `file` is for errors. Throws DataError{"file:line[:column]"}.
  EncodedChunk encode(const LineChunk& chunk, const std::string& file) const;

 private:
  struct Row;
  void read_row(std::string_view line, const std::string& where, Row& row) const;
  void say_what_is_wrong(const Json& row, const std::string& where) const;
  void append_document(const std::vector<std::string>& texts, EncodedDocuments& documents, int64_t& tokens) const;

  std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  std::vector<std::string> keys_;
  bool append_eod_, add_special_, skip_bad_rows_;
  MegatronType type_;
};

}  // namespace automodel::data
