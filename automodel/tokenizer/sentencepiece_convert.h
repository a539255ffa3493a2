// A SentencePiece model as transformers 5.17 converts it for the `tokenizers` library; see source.h.
#pragma once

#include <filesystem>
#include <string>

#include "automodel/base/json.h"
#include "automodel/tokenizer/sentencepiece_file.h"
#include "automodel/tokenizer/source.h"

namespace automodel::tokenizer {

/// BPE classes (LlamaTokenizer, GemmaTokenizer, ...) take the pieces as a BPE, whose merges are all splits of a piece
/// into two pieces, in order of (id, characters of the left part); T5Tokenizer and XLMRobertaTokenizer take pieces and
/// scores as a Unigram and lay out the first ids their way; the plain backend takes the type that the file says, with
/// charsmap, and neither prefix nor stripping. Control and user-defined pieces become added tokens.
/// Throws UnsupportedError for a class that reads no such file; DataError for pieces that come twice.
Source from_sentencepiece(const std::filesystem::path& path, const SentencePieceFile& model,
                          const std::string& tokenizer_class, const Json& tokenizer_config);

}  // namespace automodel::tokenizer
