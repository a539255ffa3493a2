// A SentencePiece model by its own library's rules, for a file that is named by itself (a folder follows transformers'
// rules: see source.h).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "automodel/tokenizer/sentencepiece_file.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::tokenizer {

/// Equal to sentencepiece 0.2.3's SentencePieceProcessor: the normalizer (charsmap by longest match, dummy prefix,
/// extra whitespace, escaping), Unigram or BPE with user-defined and unused pieces, fused unknowns or byte fallback,
/// decode. Nothing is put around a text, and control pieces are never found in one. Offsets are bytes of the text.
/// Throws DataError{name} for a file without its unknown piece, pieces that come twice, byte fallback without 256 byte
/// pieces; UnsupportedError for word and character models.
std::shared_ptr<const Tokenizer> make_sentencepiece(SentencePieceFile file, const std::string& name);
std::shared_ptr<const Tokenizer> load_sentencepiece(const std::filesystem::path& path);

}  // namespace automodel::tokenizer
