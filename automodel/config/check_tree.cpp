#include "automodel/config/check_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "automodel/base/text.h"
#include "automodel/config/names.h"
#include "automodel/config/schema.h"
#include "automodel/config/type_spec.h"

namespace automodel::config {

std::string Fault::where(const std::string& file) const {
  return place.line > 0 ? fmt::format("{}:{}: {}", file, place.line, path) : "--" + path;
}

namespace {

constexpr size_t kMaxListed = 150;  // all sections and names; the fields of config.json below `model` are more

std::string list_words(std::vector<std::string> words) {
  const size_t count = words.size();
  bool more = count > kMaxListed;
  if (more) words.resize(kMaxListed);
  return join(words, ", ") + (more ? fmt::format(", and {} more", count - kMaxListed) : "");
}

bool is_word_of(std::string_view words, const std::string& word) {
  std::vector<std::string> all = split(words, ' ');
  return std::find(all.begin(), all.end(), word) != all.end();
}

// What a section passes on to its keys.
struct Inherited {
  std::optional<Verdict> verdict;  // class and note of all keys below
};

class Checker {
 public:
  explicit Checker(Findings& findings) : findings_(findings) {}

  void walk(const Value& map, const std::string& prefix, const Inherited& inherited) {
    const NameRow* name = target_of(map, prefix);
    for (const Entry& entry : map.entries) check_entry(entry, prefix, inherited, name);
  }

 private:
  // The row of the section's `_target_`, when that is a known name.
  static const NameRow* target_of(const Value& map, const std::string& prefix) {
    const Value* target = map.find("_target_");
    const KeySpec* spec = target && target->is_string() ? Schema::get().find(prefix + "._target_") : nullptr;
    return spec && !spec->role.empty() ? find_name(spec->role, target->text) : nullptr;
  }

  void fault(const Place& place, const std::string& path, std::string text, std::string hint = "") {
    findings_.faults.push_back({place, path, std::move(text), std::move(hint)});
  }

  void check_entry(const Entry& entry, const std::string& prefix, Inherited inherited, const NameRow* name) {
    std::string path = prefix.empty() ? entry.key : prefix + "." + entry.key;
    if (prefix.empty() && entry.key.starts_with('_') && !entry.key.starts_with("_target_")) {
      if (entry.value.anchor_used) {
        add({path, "", entry.place, KeyClass::kInert, "holds a value that aliases refer to", true});
        return;
      }
      inherited.verdict = Verdict{KeyClass::kInert, "its name begins with _, which turns it off"};
    }
    bool dotted = entry.key.find('.') != std::string::npos && !path.starts_with("ci.");
    const KeySpec* spec = dotted ? nullptr : Schema::get().find(path);
    if (!spec) {
      unknown_key(entry, prefix, path, name);
      return;
    }
    if (name && !name->keys.empty() && entry.key != "_target_" && !is_word_of(name->keys, entry.key)) {
      std::vector<std::string> allowed = split(name->keys, ' ');
      std::string meant = nearest(entry.key, allowed);
      fault(entry.place, path,
            fmt::format("not a key of {}{}",
                        name->native.empty() ? std::string("this _target_") : std::string(name->native),
                        meant.empty() ? "" : "; did you mean " + meant + "?"),
            "allowed: " + list_words(allowed));
      return;
    }
    if (entry.value.is_map() && spec->is_section) {
      check_section(entry, path, *spec, inherited);
    } else {
      check_value(entry, path, *spec, inherited);
    }
  }

  void unknown_key(const Entry& entry, const std::string& prefix, const std::string& path, const NameRow* name) {
    size_t dot = entry.key.rfind('.');
    bool dotted = dot != std::string::npos;
    std::string section = dotted ? path.substr(0, path.size() - (entry.key.size() - dot)) : prefix;
    bool named = name && !name->keys.empty();
    std::vector<std::string> allowed = named ? split(name->keys, ' ') : Schema::get().children(section);
    std::string meant = nearest(dotted ? entry.key.substr(dot + 1) : entry.key, allowed);
    std::string hint = allowed.empty() ? "no keys are known here" : "allowed: " + list_words(allowed);
    if (dotted && !path.starts_with("ci."))
      hint = "write a mapping for each part; a.b.c works only on the command line";
    if (prefix.empty() && entry.key.starts_with("validation_dataset")) hint = "name sets validation_dataset_NAME";
    fault(entry.place, path, "unknown key" + (meant.empty() ? "" : "; did you mean " + meant + "?"), hint);
  }

  void check_section(const Entry& entry, const std::string& path, const KeySpec& spec, Inherited inherited) {
    KeyNote note{path, "", entry.place, KeyClass::kObeyed, "", true};
    const Value* enable = entry.value.find("enable");
    if (inherited.verdict) {
      note.from_section = path.find('.') != std::string::npos;
      note.key_class = inherited.verdict->key_class, note.note = inherited.verdict->note;
    } else if (const Value* mode = entry.value.find("mode"); path == "wandb" && mode && mode->text == "disabled") {
      note.key_class = KeyClass::kInert, note.note = "mode: disabled turns the section off";
    } else if (enable && enable->is(Value::Kind::kBool) && !enable->boolean) {
      note.key_class = KeyClass::kInert, note.note = "enable: false turns the section off";
    } else {
      Verdict verdict = Schema::classify(spec, entry.value);
      note.key_class = verdict.key_class, note.note = verdict.note;
    }
    add(note);
    Inherited below;
    // Keys of a section that is only mapped, or of a section whose keys say more, speak for themselves.
    if (inherited.verdict || (note.key_class != KeyClass::kObeyed && note.key_class != KeyClass::kMapped)) {
      below.verdict = Verdict{note.key_class, note.note};
    }
    walk(entry.value, path, below);
  }

  void check_value(const Entry& entry, const std::string& path, const KeySpec& spec, const Inherited& inherited) {
    const Value& value = entry.value;
    if (value.is_null() && spec.is_section) {
      add({path, "null", entry.place, KeyClass::kObeyed, "the section is not there", true});
      return;
    }
    if (value.is_list() && spec.is_section && spec.type.empty()) {
      check_list(entry, path, inherited);
      return;
    }
    KeyNote note{path, to_printable(entry.key, value), entry.place};
    if (!spec.role.empty() && value.is_string()) {
      check_name(entry, path, spec, note);
    } else if (auto matched = spec.type.empty() ? std::nullopt : match_type(spec.type, value)) {
      Verdict verdict = Schema::classify(spec, *matched);
      note.key_class = verdict.key_class, note.note = verdict.note;
    } else if (value.missing.empty()) {
      wrong_type(entry, path, spec);
      return;
    }
    if (!value.missing.empty() && !inherited.verdict && note.key_class != KeyClass::kInert) {
      fault(value.place, path, fmt::format("the environment variable {} is not set", value.missing),
            fmt::format("set it, or give a default: ${{{},default}}", value.missing));
    }
    take_over(note, inherited);
    add(note);
  }

  // A key of a section that is inert or lacking as a whole; a lacking key within an inert section stays lacking.
  static void take_over(KeyNote& note, const Inherited& inherited) {
    if (!inherited.verdict) return;
    bool own =
        note.key_class == KeyClass::kLacking && inherited.verdict->key_class == KeyClass::kInert &&
        (note.path.starts_with("fp8.") || note.path.starts_with("quantization.") || note.path.starts_with("qat."));
    if (own) return;
    note.key_class = inherited.verdict->key_class;
    note.note = inherited.verdict->note;
    note.from_section = true;
  }

  void check_list(const Entry& entry, const std::string& path, const Inherited& inherited) {
    add({path, "", entry.place, KeyClass::kObeyed, "", true});
    for (size_t k = 0; k < entry.value.items.size(); ++k) {
      const Value& item = entry.value.items[k];
      std::string item_path = fmt::format("{}[{}]", path, k);
      if (item.is_map()) {
        walk(item, item_path, inherited);
      } else {
        fault(item.place, item_path, "expected a mapping, got " + to_yaml(item));
      }
    }
  }

  void check_name(const Entry& entry, const std::string& path, const KeySpec& spec, KeyNote& note) {
    const NameRow* row = find_name(spec.role, entry.value.text);
    if (!row) {
      std::vector<std::string> known = names_of_role(spec.role);
      std::string meant = nearest(entry.value.text, known);
      fault(
          entry.value.place.line ? entry.value.place : entry.place, path,
          fmt::format("unknown name {}{}", to_yaml(entry.value), meant.empty() ? "" : "; did you mean " + meant + "?"),
          "names are looked up in a table, nothing is imported; known: " + list_words(known));
      return;
    }
    note.key_class = row->key_class;
    note.note = row->note;
    if (row->key_class == KeyClass::kObeyed) {
      Verdict verdict = Schema::classify(spec, entry.value);
      note.key_class = verdict.key_class, note.note = verdict.note;
    }
  }

  void wrong_type(const Entry& entry, const std::string& path, const KeySpec& spec) {
    const Value& value = entry.value;
    if (!spec.role.empty() && value.is_map()) {
      for (const Entry& inner : value.entries) {
        if (inner.key != "_target_") fault(inner.place, path + "." + inner.key, "unknown key", "allowed: _target_");
      }
    }
    std::string expected = !spec.role.empty()  ? "a name"
                           : spec.type.empty() ? "a mapping"
                                               : type_in_words(spec.type) + (spec.is_section ? ", or a mapping" : "");
    std::string got =
        value.is_map() || value.is_list() ? std::string(kind_name(value.kind)) : to_printable(entry.key, value);
    std::string hint;
    if (value.is_string()) {
      std::string meant = nearest(value.text, words_of_type(spec.type));
      if (!meant.empty()) hint = "did you mean " + meant + "?";
      if (value.text == "null" && entry.place.line == 0) hint = "on the command line write None";
    }
    fault(entry.place, path, fmt::format("expected {}, got {}", expected, got), hint);
  }

  void add(KeyNote note) { findings_.keys.push_back(std::move(note)); }

  Findings& findings_;
};

Value as_section(const char* key, Value value, Place place) {
  Value map;
  map.kind = Value::Kind::kMap;
  map.place = value.place;
  map.entries.push_back({key, place, std::move(value)});
  return map;
}

}  // namespace

void expand_short_forms(Value& root, std::vector<Fault>& faults) {
  for (Entry& entry : root.entries) {
    if (entry.key == "loss") {
      if (root.find("loss_fn"))
        faults.push_back({entry.place, "loss", "loss and loss_fn are the same key", "keep one"});
      entry.key = "loss_fn";
    }
    Value& value = entry.value;
    if (value.is_string() && entry.key == "model")
      value = as_section("pretrained_model_name_or_path", value, entry.place);
    if (value.is_string() && (entry.key == "loss_fn" || entry.key == "optimizer")) {
      value = as_section("_target_", value, entry.place);
    }
    const Value* target = entry.key == "recipe" ? value.find("_target_") : nullptr;
    if (target && value.entries.size() == 1) value = Value(*target);
  }
  Value* loader = root.find("dataloader");
  if (loader && loader->find("dataset") && !root.find("dataset")) {
    for (size_t k = 0; k < loader->entries.size(); ++k) {
      if (loader->entries[k].key != "dataset") continue;
      Entry moved = loader->entries[k];
      loader->entries.erase(loader->entries.begin() + static_cast<ptrdiff_t>(k));
      root.entries.push_back(std::move(moved));
      break;
    }
  }
}

Findings check_tree(const Value& root) {
  Findings findings;
  Checker(findings).walk(root, "", {});
  return findings;
}

}  // namespace automodel::config
