#include "automodel/config/schema.h"

#include <algorithm>
#include <cctype>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/config/knobs.h"
#include "automodel/config/recipe_config.h"
#include "automodel/config/type_spec.h"

namespace automodel::config {

namespace {

bool has_prefix(std::string_view path, std::string_view prefix) { return path.starts_with(prefix); }

// Where keys of this path are declared when they are not declared there: one step of looking further.
std::string next_place(const std::string& path) {
  static const std::vector<std::pair<std::string, std::string>> kMoves = {{"validation_dataset.", "dataset."},
                                                                          {"validation_dataloader.", "dataloader."},
                                                                          {"ci.nightly.", ""},
                                                                          {"ci.release.", ""},
                                                                          {"ci.convergence.", ""},
                                                                          {"ci.checkpoint_robustness.", ""},
                                                                          {"teacher_model.", "model."},
                                                                          {"teacher_distributed.", "distributed."},
                                                                          {"fsdp.", "distributed."},
                                                                          {"autopipeline.", "distributed.pipeline."},
                                                                          {"distributed_config.", "distributed."},
                                                                          {"model.config.", "hf."},
                                                                          {"model.text_config.", "hf."},
                                                                          {"model.", "hf."},
                                                                          {"dataset.tokenizer.", "tokenizer."},
                                                                          {"hf.rope_parameters.", "hf.rope_scaling."}};
  for (const auto& [from, to] : kMoves) {
    // A section of the model that no table knows is not a field of config.json.
    if (from == "model." && path.find('.', 6) != std::string::npos && !has_prefix(path, "model.rope_")) continue;
    if (has_prefix(path, from) && path.size() > from.size()) return to + path.substr(from.size());
  }
  return "";
}

// "validation_dataset_NAME.x" and "_section.x" as the section that they repeat; list indices as [].
std::string general_form(std::string_view path) {
  std::string name(path);
  if (name.size() > 1 && name[0] == '_' && std::isalpha(static_cast<unsigned char>(name[1]))) name.erase(0, 1);
  constexpr std::string_view kSet = "validation_dataset";
  if (has_prefix(name, kSet) && name.size() > kSet.size() + 1 && name[kSet.size()] == '_') {
    size_t dot = name.find('.');
    name = std::string(kSet) + (dot == std::string::npos ? "" : name.substr(dot));
  }
  for (size_t open = name.find('['); open != std::string::npos; open = name.find('[', open + 1)) {
    size_t close = name.find(']', open);
    if (close == std::string::npos) break;
    name.erase(open + 1, close - open - 1);
  }
  return name;
}

bool row_holds(const KeyRow& row, const std::string& text) {
  if (row.values.empty()) return true;
  bool negated = row.values[0] == '!';
  std::vector<std::string> words = split(row.values.substr(negated ? 1 : 0), '|');
  return (std::find(words.begin(), words.end(), text) != words.end()) != negated;
}

}  // namespace

Schema::Schema() {
  RecipeConfig config;
  Knobs knobs(Knobs::Mode::kCatalogue);
  config.describe(knobs);
  for (const Knob& knob : knobs.all()) {
    if (has_prefix(knob.path, "validation_dataset.") || has_prefix(knob.path, "validation_dataloader.") ||
        has_prefix(knob.path, "dataset.tokenizer.")) {
      continue;  // declared once, under dataset, dataloader and tokenizer
    }
    KeySpec& spec = specs_[knob.path];
    spec.path = knob.path;
    spec.type = knob.type;
    spec.role = knob.role;
    spec.is_section = knob.type.empty() && knob.role.empty();
    spec.is_knob = true;
    spec.meaning = knob.meaning;
    spec.alias_of = knob.alias_of;
    if (knob.get) spec.default_text = to_yaml(knob.get());
  }
  for (const KeyRow& row : llm_key_rows()) add_row(row);
  for (const KeyRow& row : other_key_rows()) add_row(row);
  for (const KeyRow& row : hf_config_rows()) add_row(row);
}

void Schema::add_row(const KeyRow& row) {
  for (const std::string& key : split(row.keys, ' ')) {
    std::string path = row.section.empty() ? key : std::string(row.section) + "." + key;
    KeySpec& spec = specs_[path];
    AM_CHECK(!spec.path.empty() || !row.type.empty(), "the table says something about {}, which nothing declares",
             path);
    spec.path = path;
    spec.rows.push_back(&row);
    if (row.type.empty() || !spec.type.empty()) continue;
    std::vector<std::string> types;
    for (const std::string& part : split(row.type, '|')) {
      if (part == "section") {
        spec.is_section = true;
      } else if (has_prefix(part, "target:")) {
        spec.role = part.substr(7);
      } else {
        types.push_back(part);
      }
    }
    spec.type = join(types, "|");
  }
}

const Schema& Schema::get() {
  static const Schema kSchema;
  return kSchema;
}

std::vector<std::string> Schema::canonical(std::string_view path) const {
  std::vector<std::string> places;
  for (std::string place = general_form(path); !place.empty(); place = next_place(place)) {
    places.push_back(place);
    if (places.size() > 8) break;
  }
  return places;
}

const KeySpec* Schema::find(std::string_view path) const {
  for (const std::string& place : canonical(path)) {
    auto found = specs_.find(place);
    if (found != specs_.end()) return &found->second;
  }
  return nullptr;
}

std::vector<std::string> Schema::children(std::string_view path) const {
  std::vector<std::string> names;
  for (const std::string& child : canonical(path.empty() ? "?" : std::string(path) + ".?")) {
    std::string prefix = child.substr(0, child.size() - 1);
    for (auto found = specs_.lower_bound(prefix); found != specs_.end() && has_prefix(found->first, prefix); ++found) {
      std::string name = found->first.substr(prefix.size());
      if (name.find_first_of(".[") == std::string::npos && !name.empty() && name != "hf") names.push_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Verdict Schema::classify(const KeySpec& spec, const Value& value) {
  std::string text = value.is_map() ? "{}" : value.is_null() ? "null" : to_yaml(value);
  if (value.is_string()) text = value.text;
  for (const KeyRow* row : spec.rows) {
    if (row_holds(*row, text)) return {row->key_class, std::string(row->note)};
  }
  return {};
}

}  // namespace automodel::config
