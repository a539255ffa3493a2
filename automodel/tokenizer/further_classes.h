// Further classes: what the rarer of transformers' tokenizer classes do to a tokenizer.json; see class_rules.h.
//
// BPE: GPT-1, CLIP, Whisper, Blenderbot, HerBERT, Reformer. Unigram: ALBERT, XGLM, XLNet, RemBERT,
// CamemBERT, BARThez, DeBERTa-v2. WordPiece: Funnel.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/tokenizer/tokenizer_file.h"

namespace automodel::tokenizer {

bool is_further_class(std::string_view tokenizer_class);

/// Rewrites `file` as apply_class() does; false for other classes. Throws DataError{where} for a model of another type,
/// UnsupportedError for a setting that is not here (Whisper's 'language' and 'task').
bool apply_further_class(const std::string& tokenizer_class, const Json& tokenizer_config, TokenizerFile& file,
                         const std::string& where);

/// As default_tokens(); an empty object for other classes.
Json default_further_tokens(const std::string& tokenizer_class);

/// The extra special tokens of a class where tokenizer_config.json names none.
std::vector<std::string> own_extra_tokens(const std::string& tokenizer_class);

/// As class_post_processor(); `has` says whether the file has one of its own.
std::optional<Json> further_post_processor(const std::string& tokenizer_class, const Json& tokenizer_config, bool has,
                                           const std::function<std::string(const char*)>& token,
                                           const std::function<int32_t(const std::string&)>& id);

/// What decode() does to the text in the end: the end-of-word mark that becomes a space, before white space is trimmed
/// at both ends (CLIP); empty: nothing.
std::string word_end_of(const std::string& tokenizer_class);

}  // namespace automodel::tokenizer
