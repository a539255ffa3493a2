#include "automodel/config/help.h"

#include <fmt/format.h>

#include <vector>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/config/knobs.h"
#include "automodel/config/names.h"
#include "automodel/config/recipe_config.h"
#include "automodel/config/schema.h"
#include "automodel/config/type_spec.h"

namespace automodel::config {

namespace {

struct Group {
  std::string section, meaning;
  std::vector<Knob> knobs;
};

std::string section_of(const std::string& path) {
  size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

// The catalogue by section, in the order of the declarations; sections that repeat another's knobs are left out.
// `config` owns what the knobs refer to.
std::vector<Group> groups_of(RecipeConfig& config) {
  Knobs knobs(Knobs::Mode::kCatalogue);
  config.describe(knobs);
  std::vector<Group> groups = {{"", "keys outside the sections", {}}};
  for (const Knob& knob : knobs.all()) {
    if (knob.path.starts_with("validation_data") && knob.path.find('.') != std::string::npos) continue;
    if (knob.path.starts_with("dataset.tokenizer.")) continue;
    if (knob.type.empty() && knob.role.empty()) {
      bool list = Schema::get().all().contains(knob.path + "[].pattern");
      groups.push_back({knob.path + (list ? "[]" : ""), knob.meaning, {}});
      continue;
    }
    for (Group& group : groups) {
      if (group.section == section_of(knob.path)) group.knobs.push_back(knob);
    }
  }
  return groups;
}

std::string type_of(const Knob& knob) {
  if (knob.role.empty()) return type_in_words(knob.type);
  std::vector<std::string> natives;
  for (const NameRow& row : name_table()) {
    if (row.role == knob.role && !row.native.empty()) natives.emplace_back(row.native);
  }
  return "a name: " + join(natives, ", ");
}

std::string default_of(const Knob& knob) { return knob.get ? to_yaml(knob.get()) : ""; }

std::string meaning_of(const Knob& knob) {
  return knob.alias_of.empty() ? knob.meaning : "the same as " + knob.alias_of.substr(knob.alias_of.rfind('.') + 1);
}

std::string escape(std::string text) { return replace_all(std::move(text), "|", "\\|"); }

void add_rows(std::string& text, const std::vector<KeyRow>& rows) {
  for (const KeyRow& row : rows) {
    if (row.note.empty()) continue;
    std::string keys;
    for (const std::string& key : split(row.keys, ' ')) {
      keys += (keys.empty() ? "`" : ", `") + (row.section.empty() ? key : std::string(row.section) + "." + key) + "`";
    }
    std::string values(row.values.starts_with('!') ? "all but " + std::string(row.values.substr(1)) : row.values);
    text += fmt::format("| {} | {} | {} | {} |\n", keys, escape(replace_all(values, "|", ", ")),
                        class_name(row.key_class), row.note);
  }
}

}  // namespace

std::string config_help(std::string_view section) {
  std::string text;
  std::vector<std::string> names;
  RecipeConfig config;
  for (const Group& group : groups_of(config)) {
    names.push_back(group.section);
    bool wanted = section.empty() || group.section == section || group.section.starts_with(std::string(section) + ".");
    if (!wanted) continue;
    text += fmt::format("{}{}{}\n", group.section, group.section.empty() ? "" : ": ", group.meaning);
    for (const Knob& knob : group.knobs) {
      std::string name = knob.path.substr(knob.path.rfind('.') + 1);
      text += fmt::format("  {:<28} {}\n", name, meaning_of(knob));
      text += fmt::format("  {:<28}   {}; default {}\n", "", type_of(knob), default_of(knob));
    }
  }
  if (text.empty()) {
    std::string meant = nearest(section, names);
    throw ConfigError(std::string(section),
                      "no section of the configuration" + (meant.empty() ? "" : "; did you mean " + meant + "?"),
                      "sections: " + join(names, " "));
  }
  return text;
}

std::string config_markdown() {
  std::string text = "# Configuration\n\nMade from the declarations in `automodel/config/`; do not edit.\n";
  RecipeConfig config;
  for (const Group& group : groups_of(config)) {
    std::string title = group.section.empty() ? "Top level" : "`" + group.section + "`";
    text += fmt::format("\n## {}\n\n{}.\n", title, group.meaning);
    if (group.knobs.empty()) continue;
    text += "\n| key | takes | default | meaning |\n|---|---|---|---|\n";
    for (const Knob& knob : group.knobs) {
      std::string name = knob.path.substr(knob.path.rfind('.') + 1);
      text += fmt::format("| `{}` | {} | `{}` | {} |\n", name, escape(type_of(knob)), default_of(knob),
                          escape(meaning_of(knob)));
    }
  }
  text += "\n## What becomes of NeMo AutoModel's other keys\n\n| key | values | class | why |\n|---|---|---|---|\n";
  add_rows(text, llm_key_rows());
  add_rows(text, other_key_rows());
  add_rows(text, hf_config_rows());
  text += "\n## Names\n\n| of | here | spellings | class | note |\n|---|---|---|---|---|\n";
  for (const NameRow& row : name_table()) {
    text += fmt::format("| {} | {} | {} | {} | {} |\n", row.role, row.native,
                        replace_all(std::string(row.names), " ", ", "), class_name(row.key_class), row.note);
  }
  text += "\n`@` stands for `nemo_automodel.components.` and `$` for `nemo_automodel.`\n";
  return text;
}

}  // namespace automodel::config
