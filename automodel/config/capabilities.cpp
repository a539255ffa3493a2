#include "automodel/config/capabilities.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/config/missing_file.h"
#include "automodel/config/model_names.h"
#include "automodel/config/names.h"
#include "automodel/config/recipe_keys.h"

namespace automodel::config {

std::string Lacking::text() const { return is_sentence ? reason : fmt::format("{} needs {}", value, reason); }

namespace {

namespace fs = std::filesystem;

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return !path.empty() && fs::exists(path, ignored);
}

// "owner/name" as the Hub has them; everything else that is not there is a missing file.
bool looks_like_hub_id(const std::string& text) {
  bool one_slash = std::count(text.begin(), text.end(), '/') <= 1;
  bool file_like = text.starts_with(".") || text.starts_with("/") || text.starts_with("~");
  for (const char* ending : {".json", ".jsonl", ".parquet", ".arrow", ".csv", ".tsv", ".txt", ".gz", ".zst", ".yaml"})
    file_like = file_like || text.ends_with(ending);
  return one_slash && !file_like;
}

// Whether a file of this name or pattern exists.
bool matches(const std::string& pattern) {
  glob_t found{};
  bool any = ::glob(pattern.c_str(), 0, nullptr, &found) == 0 && found.gl_pathc > 0;
  ::globfree(&found);
  return any || exists(pattern);
}

void add_prefixes(const Json& paths, std::vector<std::string>& files) {
  if (paths.is_structured()) {
    for (const Json& part : paths) add_prefixes(part, files);
  } else if (paths.is_string()) {
    const std::string text(trim(paths.get_ref<const std::string&>()));
    if (text.empty() || text.find_first_not_of("0123456789.+-eE") == std::string::npos) return;  // a weight
    bool plain = text.find_first_of("*?[") == std::string::npos && !text.ends_with(".json") && !text.ends_with(".idx");
    files.push_back(!plain ? text : (text.ends_with(".bin") ? text.substr(0, text.size() - 4) : text) + ".idx");
  }
}

// The files that a set of tokens needs: patterns as they are, prefixes by their index.
std::vector<std::string> data_paths(const DatasetSection& dataset) {
  std::vector<std::string> files = dataset.kind == "nanogpt" ? dataset.file_pattern : std::vector<std::string>();
  if (dataset.kind == "megatron" && !dataset.paths.empty()) {
    const std::string& paths = dataset.paths;
    bool json =
        paths.starts_with("{") || (paths.starts_with("[") && paths.ends_with("]") && paths.find('"') < paths.size());
    add_prefixes(json ? parse_json(paths, "dataset.paths") : Json(paths), files);
  }
  return files;
}

std::string model_key(const Value& root) {
  const auto names = find_model_names(root);
  return names.empty() ? kModelPath : names[0].key;
}

// Where the model lies on this machine; "" if it does not.
std::string model_place(const ModelSection& model, const Capabilities& can) {
  if (exists(model.path) || !can.find_model) return model.path;
  return can.find_model(model.path, model).value_or("");
}

// A model's configuration: the file itself, or the one in the folder.
fs::path config_file(const fs::path& place) { return place.extension() == ".json" ? place : place / "config.json"; }

std::optional<Place> find_place(const Findings& findings, const std::string& path) {
  for (const KeyNote& key : findings.keys)
    if (key.path == path) return key.place;
  return std::nullopt;
}
Place place_of(const Findings& findings, const std::string& path) {
  return find_place(findings, path).value_or(Place());
}

class Finder {
 public:
  Finder(const Value& root, const Findings& findings, const Capabilities& capabilities)
      : root_(root), findings_(findings), can_(capabilities) {}

  std::vector<Lacking> take() { return std::move(found_); }

  void add(const std::string& path, const std::string& value, const std::string& reason) {
    const Place place = place_of(findings_, path);
    const Value* given = root_.at_path(path);
    bool from_environment = given && !given->written.empty();
    found_.push_back({path, from_environment ? given->written : value, reason, place});
  }

  // `file` is what must be there for `value`; of a pattern that nothing matches, the pattern.
  void add_missing(const std::string& path, const std::string& value, const std::string& file) {
    const MissingFile missing = describe_missing(file);
    add(path, value, missing.text);
    found_.back().no_file = true;
    found_.back().mistyped = missing.folder_is_there;
    found_.back().hint = missing.hint;
  }

  // What is there is no model: the user's path is wrong.
  void add_no_model(const std::string& key, const std::string& path) {
    std::error_code ignored;
    const bool folder = fs::is_directory(path, ignored);
    add(key, path,
        fmt::format("'{}' {}", path, folder ? "has no config.json" : "is neither a folder nor a config.json"));
    found_.back().no_file = found_.back().mistyped = true;
    found_.back().hint = "expected a folder in Hugging Face layout (config.json, *.safetensors, tokenizer.json)";
    if (folder) found_.back().hint += "; " + describe_missing((fs::path(path) / "config.json").string()).hint;
  }

  void keys() {
    for (const KeyNote& key : findings_.keys) {
      if (key.key_class != KeyClass::kLacking || key.from_section) continue;
      if (contains(can_.loggers, key.path)) continue;
      found_.push_back({key.path, key.value, key.note, key.place});
    }
  }

  void folder(const std::string& key, const std::string& path) {
    if (path.empty() || exists(path) || (can_.hub && looks_like_hub_id(path))) return;
    if (looks_like_hub_id(path))
      add(key, path, "the Hub client: this is no local folder");
    else
      add_missing(key, path, path);
  }

  void model(const ModelSection& model) {
    if (contains({"fp8", "float8_e4m3fn", "float8_e5m2", "nf4", "int8"}, model.torch_dtype))
      add("model.torch_dtype", model.torch_dtype, "weights in FP8, NF4 or int8");
    const std::string key = model_key(root_);
    folder(key, model.path);
    const std::string place = model_place(model, can_);
    const fs::path config = config_file(place);
    if (place.empty() || !exists(config.string())) {
      if (exists(model.path)) add_no_model(key, model.path);
      return;
    }
    try {
      const Json json = load_json(config);
      const std::string type = json.value("model_type", "");
      if (!type.empty() && !contains(can_.families, type))
        add(key, model.path, fmt::format("the family {} (known: {})", type, join(can_.families, ", ")));
    } catch (const std::exception&) {  // a fault, which trying the model finds and words
    }
  }

  void files(const std::string& key, const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      const bool pattern = path.find_first_of("*?[") != std::string::npos;  // looked up when the data is opened
      if (pattern || exists(path) || (can_.hub_datasets && (looks_like_hub_id(path) || path.starts_with("hf://"))))
        continue;
      if (looks_like_hub_id(path))
        add(key, path, "the Hub client: this is no local file");
      else
        add_missing(key, path, path);
    }
  }

  void dataset(const std::string& section, const DatasetSection& dataset) {
    const NameRow* row = find_name("dataset", dataset.kind);
    if (row && row->key_class == KeyClass::kObeyed && !contains(can_.dataset_kinds, dataset.kind)) {
      add(section + "._target_", dataset.kind, "data sets of this kind");
    }
    for (const char* name : {"path_or_dataset_id", "path_or_dataset", "dataset_name", "path"})
      if (root_.at_path(section + "." + name)) files(section + "." + name, dataset.path);
    for (size_t i = 0; i < dataset.sources.size(); ++i)
      files(fmt::format("{}.sources[{}]", section, i), dataset.sources[i].path);
    const std::string& chat = dataset.chat_template;
    if (!chat.empty() && chat.find('{') == std::string::npos && !exists(chat)) {
      add_missing(section + ".chat_template", chat, chat);
    }
    for (const std::string& path : data_paths(dataset)) {
      if (!matches(path)) add_missing(section + (dataset.kind == "nanogpt" ? ".file_pattern" : ".paths"), path, path);
    }
    if (dataset.tokenizer) folder(section + ".tokenizer.pretrained_model_name_or_path", dataset.tokenizer->path);
  }

  void ranks(const DistributedSection& distributed) {
    int64_t wanted = distributed.dp_size.value_or(1);
    if (wanted > can_.world_size) {
      add("distributed.dp_size", fmt::to_string(wanted),
          fmt::format("that many processes (there is {})", can_.world_size));
    }
  }

 private:
  const Value& root_;
  const Findings& findings_;
  const Capabilities& can_;
  std::vector<Lacking> found_;
};

}  // namespace

std::vector<Lacking> find_lacking(const Value& root, const RecipeConfig& config, const Findings& findings,
                                  const Capabilities& capabilities) {
  Finder finder(root, findings, capabilities);
  if (!contains(capabilities.recipes, config.recipe)) finder.add("recipe", config.recipe, "this recipe");
  finder.keys();
  finder.model(config.model);
  finder.dataset("dataset", config.dataset);
  for (const ValidationSet& set : config.validation_sets) {
    if (!unread_by(config.recipe, "validation_dataset").empty()) break;
    finder.dataset(set.name == "default" ? "validation_dataset" : "validation_dataset_" + set.name, set.dataset);
  }
  if (config.tokenizer) finder.folder("tokenizer.pretrained_model_name_or_path", config.tokenizer->path);
  finder.ranks(config.distributed);
  return finder.take();
}

// The parts of an error's message; its path is the key it begins with, or the model's.
static Fault as_fault(const Error& error, const Value& root, const std::string& model, const Findings& findings) {
  std::string text = error.message(), path = model;
  const std::string hint = error.hint();
  const size_t colon = text.find(": ");
  const std::string key = text.substr(0, colon == std::string::npos ? 0 : colon),
                    section = key.substr(0, key.find('.'));
  if (!key.empty() && root.at_path(section)) {
    if (key != kModelPath) path = key;
    text.erase(0, colon + 2);
  }
  for (const std::string& place : {path, path.substr(0, path.find('[')), section})
    if (const auto found = find_place(findings, place)) return {*found, path, text, hint};
  return {{}, path, text, hint};
}

static void try_out(const std::function<void(const RecipeConfig&)>& attempt, const Value& root,
                    const RecipeConfig& config, Findings& findings, std::vector<Lacking>& lacking) {
  const std::string model = model_key(root);
  try {
    attempt(config);
  } catch (const UnsupportedError& error) {
    const Fault fault = as_fault(error, root, model, findings);
    const Value* given = fault.path == model ? nullptr : root.at_path(fault.path);
    const std::string value = given ? to_yaml(*given) : config.model.path;
    lacking.push_back({.path = fault.path,
                       .value = value,
                       .reason = fault.text,
                       .place = fault.place,
                       .is_sentence = true,
                       .hint = fault.hint});
  } catch (const Error& error) {
    findings.faults.push_back(as_fault(error, root, model, findings));
  }
}

void find_run_faults(const Value& root, const RecipeConfig& config, const Capabilities& capabilities,
                     Findings& findings, std::vector<Lacking>& lacking) {
  if (!findings.faults.empty() || !contains(capabilities.recipes, config.recipe)) return;
  const size_t before = lacking.size();
  if (capabilities.try_settings) try_out(capabilities.try_settings, root, config, findings, lacking);
  const std::string key = model_key(root), place = model_place(config.model, capabilities);
  const bool known = std::any_of(lacking.begin(), lacking.end(), [&](const Lacking& lack) { return lack.path == key; });
  if (!capabilities.try_model || !findings.faults.empty() || lacking.size() > before || known || place.empty() ||
      !exists(config_file(place).string()))
    return;
  try_out(capabilities.try_model, root, config, findings, lacking);
}

}  // namespace automodel::config
