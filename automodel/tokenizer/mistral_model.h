// Mistral's SentencePiece models under their own names, tokenizer.model.v1 to NAME.model.v15 (images: v7m1), in a
// folder that holds no tokenizer else. transformers does not find such a file; mistral-common does, and is followed.
//
// Ids are SentencePiece's own, with <s> in front unless add_bos_token says otherwise. Control pieces ([INST], </s>) are
// found in a text, as chat templates need it, and the text between two of them is tokenized by itself, as
// mistral-common builds its prompts. (mistral-common's own encode() takes [INST] in a text for plain characters.)
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "automodel/tokenizer/tokenizer.h"

namespace automodel::tokenizer {

/// The model of a folder without any other tokenizer; of several the last by name, as mistral-common takes it, with a
/// warning. Nothing where there is none.
std::optional<std::filesystem::path> find_mistral_model(const std::filesystem::path& folder);

/// `config` is tokenizer_config.json: add_bos_token, add_eos_token and the chat templates beside it are obeyed. Throws
/// UnsupportedError for tokens that it adds and the model lacks, DataError for a file that is no such model.
std::shared_ptr<const Tokenizer> load_mistral_model(const std::filesystem::path& path, const Json& config);

}  // namespace automodel::tokenizer
