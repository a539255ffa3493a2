// Class rules of encoders and encoder-decoders: BERT and MPNet (WordPiece), RoBERTa and DeBERTa (byte-level BPE), T5
// and XLM-RoBERTa (Unigram); see class_rules.h.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "automodel/base/json.h"
#include "automodel/tokenizer/tokenizer_file.h"

namespace automodel::tokenizer {

/// Rewrites `file` as apply_class() does; false for other classes. Throws DataError{where}.
bool apply_encoder_class(const std::string& tokenizer_class, const Json& tokenizer_config, TokenizerFile& file,
                         const std::string& where);

/// As default_tokens(); an empty object for other classes.
Json default_encoder_tokens(const std::string& tokenizer_class);

/// The class's own post-processor as in tokenizer.json, whatever the file says; nothing for other classes.
/// `has`: the file has one, which some classes leave in place. `token(key)` is the text that "cls_token" and the like
/// have in the end, `id(text)` its id. Throws DataError{where} for a token that has no id.
std::optional<Json> class_post_processor(const std::string& tokenizer_class, const Json& tokenizer_config, bool has,
                                         const std::function<std::string(const char*)>& token,
                                         const std::function<std::optional<int32_t>(std::string_view)>& id,
                                         const std::string& where);

}  // namespace automodel::tokenizer
