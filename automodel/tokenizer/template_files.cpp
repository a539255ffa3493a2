#include "automodel/tokenizer/template_files.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/token_rules.h"

namespace automodel::tokenizer {

namespace fs = std::filesystem;

static constexpr uint64_t kMaxTemplateBytes = uint64_t{1} << 24;

static std::string read_template(const fs::path& path) {
  std::string text = read_file(path, kMaxTemplateBytes);
  if (const size_t at = find_invalid_utf8(text); at != std::string::npos)
    throw DataError(path.string(), fmt::format("the template is not UTF-8 at byte {}", at));
  return text;
}

// A text, a list of {name, template}, or an object of name -> text.
static std::map<std::string, std::string> from_value(const Json& value, const std::string& where) {
  std::map<std::string, std::string> templates;
  const auto add = [&](const std::string& name, const std::string& text) {
    if (!templates.emplace(name, text).second)
      throw DataError(where, fmt::format("'chat_template' names '{}' twice", name));
  };
  if (value.is_string()) {
    add("default", value.get<std::string>());
  } else if (value.is_array()) {
    for (const Json& one : value) add(text_member(one, "name", where), text_member(one, "template", where));
  } else if (value.is_object()) {
    for (const auto& [name, text] : value.items()) add(name, text_member(value, name.c_str(), where));
  } else if (!value.is_null()) {
    throw DataError(where, fmt::format("'chat_template' must be text, a list or an object, not {}", value.type_name()));
  }
  return templates;
}

std::map<std::string, std::string> read_chat_templates(const fs::path& folder, const Json& config) {
  std::map<std::string, std::string> templates;
  if (const fs::path path = folder / "chat_template.jinja"; fs::exists(path))
    templates["default"] = read_template(path);
  if (const fs::path named = folder / kNamedTemplates; fs::is_directory(named))
    for (const auto& entry : fs::directory_iterator(named))
      if (entry.path().extension() == ".jinja") templates[entry.path().stem().string()] = read_template(entry.path());
  if (!templates.empty()) return templates;
  if (const Json value = config.value("chat_template", Json()); !value.is_null())
    return from_value(value, (folder / "tokenizer_config.json").string());
  const fs::path older = folder / "chat_template.json";
  return from_value(load_object(older).value("chat_template", Json()), older.string());
}

}  // namespace automodel::tokenizer
