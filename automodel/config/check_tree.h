// Holds a tree of values to the schema: every key known, every value of its type, every name in the table.
#pragma once

#include <string>
#include <vector>

#include "automodel/config/key_class.h"
#include "automodel/config/value.h"

namespace automodel::config {

/// One key of the file and what becomes of it.
struct KeyNote {
  std::string path;
  std::string value;  ///< one line of YAML, secrets hidden; "" for a section
  Place place;        ///< of the key
  KeyClass key_class = KeyClass::kObeyed;
  std::string note;
  bool is_section = false;
  bool from_section = false;  ///< class and note are those of the section, which stands in the list itself
};

/// One mistake.
struct Fault {
  Place place;  ///< line 0: the command line
  std::string path, text, hint;

  /// "file:line: path", or "--path" for what was given on the command line.
  std::string where(const std::string& file) const;
};

struct Findings {
  std::vector<KeyNote> keys;  ///< in the order of the file
  std::vector<Fault> faults;
};

/// Rewrites the short spellings: `model: NAME`, `loss: NAME`, `loss_fn: NAME`, `optimizer: NAME`, `recipe: {_target_:
/// NAME}`, and NeMo AutoModel's old `dataloader.dataset`.
void expand_short_forms(Value& root, std::vector<Fault>& faults);

/// Checks every key of the tree. Never throws for what the file says.
Findings check_tree(const Value& root);

}  // namespace automodel::config
