// Every key path that is known: the declared knobs, and the table of the other keys of NeMo AutoModel's YAML files.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/config/key_class.h"
#include "automodel/config/value.h"

namespace automodel::config {

/// A row of the key table: keys of one section that share type and class. With an empty type the row says something
/// about keys declared elsewhere: what becomes of certain of their values.
struct KeyRow {
  std::string_view section;  ///< "" for top-level keys
  std::string_view keys;     ///< parted by spaces
  std::string_view type;     ///< a type spec, "section", or "target:ROLE"
  KeyClass key_class;
  std::string_view values;  ///< the row holds for these values only, parted by '|'; "" for all; "!a|b" for all others
  std::string_view note;    ///< why, in a few words
};

/// The rows, in the order in which they are tried: sections of LLM runs, then those of other recipes.
const std::vector<KeyRow>& llm_key_rows();
const std::vector<KeyRow>& other_key_rows();
/// Fields of config.json that model.* may override: rows of section "hf".
const std::vector<KeyRow>& hf_config_rows();

struct KeySpec {
  std::string path;
  std::string type;  ///< "" for a pure section
  std::string role;  ///< of a name
  bool is_section = false;
  bool is_knob = false;
  std::string meaning, default_text, alias_of;
  std::vector<const KeyRow*> rows;
};

/// What the class rules say about one value.
struct Verdict {
  KeyClass key_class = KeyClass::kObeyed;
  std::string note;
};

class Schema {
 public:
  /// The one schema, built when first asked for.
  static const Schema& get();

  /// The spec of a path as it stands in a file, or nullptr. Sections that repeat another's keys are looked up there:
  /// validation_dataset_NAME in dataset, teacher_model in model, ci.nightly.* at the top, `_section` in section.
  const KeySpec* find(std::string_view path) const;

  /// The keys that may stand in the section `path`.
  std::vector<std::string> children(std::string_view path) const;

  /// Class and note of a value (as match_type() gave it) of this key.
  static Verdict classify(const KeySpec& spec, const Value& value);

  const std::map<std::string, KeySpec, std::less<>>& all() const { return specs_; }

 private:
  Schema();
  void add_row(const KeyRow& row);
  std::vector<std::string> canonical(std::string_view path) const;

  std::map<std::string, KeySpec, std::less<>> specs_;
};

}  // namespace automodel::config
