// Chat templates of a folder: in tokenizer_config.json, in chat_template.jinja, several by name.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "automodel/base/json.h"

namespace automodel::tokenizer {

/// The folder in a tokenizer's folder with further templates.
inline constexpr char kNamedTemplates[] = "additional_chat_templates";

/// Templates by name, "default" among them where there is one. As transformers 5.17 takes them: if there is any of
/// chat_template.jinja ("default") and additional_chat_templates/NAME.jinja, these alone; else 'chat_template' of
/// tokenizer_config.json (a text, a list of {name, template}, or an object); else chat_template.json.
/// Throws DataError{file} for values of another type, a name that comes twice, text that is not UTF-8.
std::map<std::string, std::string> read_chat_templates(const std::filesystem::path& folder,
                                                       const Json& tokenizer_config);

}  // namespace automodel::tokenizer
