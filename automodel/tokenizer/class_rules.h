// Class rules: what transformers' tokenizer classes do to a tokenizer.json before it is used.
//
// AutoTokenizer (transformers 5.17) picks a class from tokenizer_config.json and config.json. Classes of some families
// keep only vocabulary, merges and post-processor of the file and set the rest themselves; the same is done here, so
// that ids are those of training.
#pragma once

#include <string>

#include "automodel/base/json.h"
#include "automodel/tokenizer/tokenizer_file.h"

namespace automodel::tokenizer {

/// The class that AutoTokenizer takes, without "Fast": "LlamaTokenizer", "Qwen2Tokenizer", ... or "TokenizersBackend"
/// where the file holds as it is. `model_config` is config.json (of use: "model_type", "tokenizer_class"), an empty
/// object if there is none.
std::string tokenizer_class(const Json& tokenizer_config, const Json& model_config);

/// Throws UnsupportedError{where} for a class of transformers that goes its own way, which is not here.
void check_class(const std::string& tokenizer_class, const std::string& where);

/// True for classes that set up normalizer, pre-tokenizer, decoder and model flags themselves and take no added tokens
/// from the file.
bool rebuilds(const std::string& tokenizer_class);

/// Rewrites those parts of `file` for a class that rebuilds(). Throws DataError{where} if the file's model is not of
/// the class's type (BPE, WordPiece, Unigram).
void apply_class(const std::string& tokenizer_class, const Json& tokenizer_config, TokenizerFile& file,
                 const std::string& where);

/// The class's own named tokens (unk_token, bos_token, ...) where tokenizer_config.json gives none; an object.
Json default_tokens(const std::string& tokenizer_class);

}  // namespace automodel::tokenizer
