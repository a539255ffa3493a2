// The texts of the report: what `automodel check` prints, and the effective configuration.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "automodel/base/text.h"
#include "automodel/config/knobs.h"
#include "automodel/config/load_config.h"
#include "automodel/config/model_names.h"
#include "automodel/config/names.h"
#include "automodel/config/recipe_keys.h"
#include "automodel/config/schema.h"

namespace automodel::config {

namespace {

// One line to print: a section's head, or a key with its value, and what is said behind it.
struct Line {
  std::string path, value, comment;
};

bool is_within(const std::string& path, const std::string& section) {
  return path.starts_with(section) && path.size() > section.size() &&
         (path[section.size()] == '.' || path[section.size()] == '[');
}

// Only the keys that belong to a section's `_target_` are printed, so that the text can be read again.
bool belongs(const std::string& path, const std::map<std::string, const NameRow*>& targets) {
  size_t dot = path.rfind('.');
  if (dot == std::string::npos || path.ends_with("._target_")) return true;
  auto found = targets.find(path.substr(0, dot));
  if (found == targets.end()) {
    size_t outer = path.rfind('.', dot - 1);
    if (outer == std::string::npos) return true;
    return belongs(path.substr(0, dot), targets);
  }
  if (!found->second || found->second->keys.empty()) return true;
  std::vector<std::string> keys = split(found->second->keys, ' ');
  std::string key = path.substr(dot + 1);
  return std::find(keys.begin(), keys.end(), key.substr(0, key.find('['))) != keys.end();
}

Value json_to_value(const Json& json) {
  if (json.is_boolean()) return Value::of(json.get<bool>());
  if (json.is_number_integer()) return Value::of(json.get<int64_t>());
  if (json.is_number()) return Value::of(json.get<double>());
  if (json.is_string()) return Value::of(json.get<std::string>());
  Value value;
  if (json.is_array()) {
    value.kind = Value::Kind::kList;
    for (const Json& item : json) value.items.push_back(json_to_value(item));
  } else if (json.is_object()) {
    value.kind = Value::Kind::kMap;
    for (const auto& [key, item] : json.items()) value.entries.push_back({key, {}, json_to_value(item)});
  }
  return value;
}

void add_overrides(const ModelSection& model, std::vector<Line>& lines) {
  Json fields = parse_json(model.config_overrides, "model");
  for (const char* section : {"config", "text_config"}) {
    bool text = std::string_view(section) == "text_config";
    std::vector<Line> found;
    const Json part = text ? fields.value("text_config", Json::object()) : fields;
    for (const auto& [key, value] : part.items()) {
      if (text || key != "text_config") {
        found.push_back({fmt::format("model.{}.{}", section, key), to_yaml(json_to_value(value)), ""});
      }
    }
    if (found.empty()) continue;
    lines.push_back({fmt::format("model.{}", section), "", ""});
    lines.insert(lines.end(), found.begin(), found.end());
  }
}

// Every knob of the config with its effective value.
std::vector<Line> effective_lines(const RecipeConfig& given) {
  RecipeConfig config = given;
  Knobs knobs(Knobs::Mode::kPrint);
  config.describe(knobs);
  std::map<std::string, const NameRow*> targets;
  for (const Knob& knob : knobs.all()) {
    if (!knob.role.empty() && knob.path.ends_with("._target_")) {
      targets[knob.path.substr(0, knob.path.size() - 9)] = find_name(knob.role, knob.get().text);
    }
  }
  std::vector<Line> lines;
  bool model_open = false;
  for (size_t k = 0; k < knobs.all().size(); ++k) {
    const Knob& knob = knobs.all()[k];
    if (model_open && !knob.path.starts_with("model.")) {
      add_overrides(config.model, lines);
      model_open = false;
    }
    if (knob.path == "model") model_open = true;
    if (!knob.alias_of.empty() || !belongs(knob.path, targets)) continue;
    if (!knob.get) {
      bool has_keys = k + 1 < knobs.all().size() && is_within(knobs.all()[k + 1].path, knob.path);
      if (has_keys) lines.push_back({knob.path, "", ""});
      continue;
    }
    Value value = knob.get();
    if (!knob.role.empty() && value.is_null()) continue;
    auto written = config.written_as.find(knob.path);
    if (written != config.written_as.end()) value.written = written->second;
    lines.push_back({knob.path, to_printable(knob.path, value), ""});
  }
  return lines;
}

// Sections without lines below them are left out; items of a list get their dash.
std::string print_lines(const std::vector<Line>& lines) {
  std::string text;
  std::string item;  // the list item that is being printed
  for (size_t k = 0; k < lines.size(); ++k) {
    const Line& line = lines[k];
    size_t depth = static_cast<size_t>(std::count(line.path.begin(), line.path.end(), '.'));
    std::string key = line.path.substr(line.path.rfind('.') + 1);
    std::string indent(2 * depth, ' ');
    if (size_t close = line.path.rfind("]."); close != std::string::npos) {
      std::string owner = line.path.substr(0, close + 1);
      indent += owner != item ? "- " : "  ";
      item = owner;
    }
    bool head = line.value.empty();
    if (head && (k + 1 == lines.size() || !is_within(lines[k + 1].path, line.path))) continue;
    std::string body = indent + key + ":" + (head ? "" : " " + line.value);
    text += line.comment.empty() ? body + "\n" : fmt::format("{:<56} # {}\n", body, line.comment);
  }
  return text;
}

std::string comment_of(const KeyNote& key) {
  std::string where = key.place.line > 0 ? fmt::format("line {}", key.place.line) : "command line";
  std::string text =
      key.key_class == KeyClass::kObeyed ? where : fmt::format("{}, {}", where, class_name(key.key_class));
  return key.note.empty() || key.from_section ? text : text + ": " + key.note;
}

using Given = std::map<std::string, const KeyNote*>;

// The key of model.config that gives this line's value in the place of the line's own, or nullptr.
const KeyNote* named_by_config(const Given& given, const std::string& path, const RecipeConfig& config) {
  if (given.contains(kModelPath) || (path != kModelPath && path != "model._target_")) return nullptr;
  if (path != kModelPath) {
    const auto target = given.find(path);
    const NameRow* row = target == given.end() ? nullptr : find_name("model", target->second->value);
    if (config.model.init != "from_config" || (row && row->native == config.model.init)) return nullptr;
  }
  for (const char* key : kModelConfigs)
    if (const auto found = given.find(key); found != given.end() && !found->second->is_section) return found->second;
  return nullptr;
}

}  // namespace

std::string effective_yaml(const RecipeConfig& config) { return print_lines(effective_lines(config)); }

std::string Report::text() const {
  Given given;
  int counts[4] = {};
  for (const KeyNote& key : findings.keys) {
    given[key.path] = &key;
    if (!key.is_section) ++counts[static_cast<int>(key.key_class)];
  }
  std::vector<Line> lines;
  if (findings.faults.empty()) lines = effective_lines(config);
  for (Line& line : lines) {
    if (const KeyNote* key = named_by_config(given, line.path, config)) {
      line.comment = fmt::format("{}: {}", comment_of(*key), key->path);
      continue;
    }
    auto found = given.find(line.path);
    if (found == given.end()) {
      const bool unread = !unread_by(config.recipe, line.path).empty();
      if (unread) line.path.clear();  // no effect: it is not printed
      if (!line.value.empty()) line.comment = "default";
      continue;
    }
    if (!line.value.empty()) line.comment = comment_of(*found->second);
    given.erase(found);
  }
  std::erase_if(lines, [](const Line& line) { return line.path.empty(); });
  std::string text = fmt::format("# {}: {} obeyed, {} mapped, {} inert, {} lacking\n", file, counts[0], counts[1],
                                 counts[2], counts[3]);
  text += print_lines(lines);
  std::string others;
  for (const KeyNote& key : findings.keys) {
    if (!given.contains(key.path) || (key.is_section && key.note.empty()) || key.from_section) continue;
    others += fmt::format("#   {:<50} {}\n", key.path + (key.value.empty() ? "" : ": " + key.value), comment_of(key));
  }
  if (!others.empty()) text += "# other keys of the file:\n" + others;
  for (const Lacking& lack : lacking) {
    if (lack.mistyped) continue;
    text += fmt::format("# lacking: {}: {}\n", lack.path, lack.text());
    if (!lack.hint.empty()) text += fmt::format("#   hint: {}\n", lack.hint);
  }
  for (const Fault& fault : faults()) {
    text += fmt::format("# error: {}: {}\n", fault.where(file), fault.text);
    if (!fault.hint.empty()) text += fmt::format("#   hint: {}\n", fault.hint);
  }
  return text;
}

int Report::exit_code() const { return !faults().empty() ? 2 : lacking.empty() ? 0 : 3; }

std::vector<Fault> Report::faults() const {
  std::vector<Fault> all = findings.faults;
  for (const Lacking& lack : lacking)
    if (lack.mistyped) all.push_back({lack.place, lack.path, lack.reason, lack.hint});
  return all;
}

Json Report::json() const {
  Json report = {{"file", file}, {"recipe", config.recipe}, {"exit_code", exit_code()}};
  Json keys = Json::array(), lacks = Json::array(), errors = Json::array();
  for (const KeyNote& key : findings.keys) {
    if (key.is_section) continue;
    keys.push_back({{"key", key.path},
                    {"value", key.value},
                    {"line", key.place.line},
                    {"class", class_name(key.key_class)},
                    {"note", key.note}});
  }
  for (const Lacking& lack : lacking) {
    if (lack.mistyped) continue;
    lacks.push_back({{"key", lack.path}, {"value", lack.value}, {"line", lack.place.line}, {"needs", lack.reason}});
  }
  for (const Fault& fault : faults()) {
    errors.push_back({{"key", fault.path}, {"line", fault.place.line}, {"error", fault.text}, {"hint", fault.hint}});
  }
  report["keys"] = std::move(keys);
  report["lacking"] = std::move(lacks);
  report["errors"] = std::move(errors);
  return report;
}

}  // namespace automodel::config
