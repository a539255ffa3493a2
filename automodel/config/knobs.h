// Visits the sections' describe() and turns each declared knob into one record: what loading, help, docs and printing
// work on.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "automodel/config/names.h"
#include "automodel/config/value.h"

namespace automodel::config {

/// One knob of one config object. `set` and `get` refer to that object: use them while it lives.
struct Knob {
  std::string path;  ///< a.b.c; lists of structs have a.b[] in the catalogue and a.b[0] in an object
  std::string meaning;
  std::string type;                       ///< a type spec; "" for a section
  std::string role;                       ///< of a name (`_target_`), else ""
  std::string alias_of;                   ///< the knob that this one is another spelling of
  std::function<void(const Value&)> set;  ///< takes what match_type() gave
  std::function<Value()> get;
};

/// The visitor. kCatalogue lists every knob that there is; kLoad those of the sections that `tree` has (making optional
/// sections and list items as the tree asks); kPrint those of the sections that the object has.
class Knobs {
 public:
  enum class Mode { kCatalogue, kLoad, kPrint };
  Knobs(Mode mode, const Value* tree = nullptr) : mode_(mode), tree_(tree) {}

  const std::vector<Knob>& all() const { return knobs_; }

  template <class T>
  void operator()(const char* name, T& field, const char* meaning, const char* type = nullptr) {
    Knob& knob = add(name, meaning, type ? type : default_type(field));
    owners_.emplace_back(&field, knob.path);
    knob.set = [&field](const Value& value) { assign(field, value); };
    knob.get = [&field] { return value_of(field); };
  }

  /// Another name of a knob declared before in the same section.
  template <class T>
  void alias(const char* name, T& field, const char* type) {
    Knob& knob = add(name, "", type);
    for (const auto& [owner, path] : owners_) {
      if (owner == &field) knob.alias_of = path;
    }
    knob.set = [&field](const Value& value) { assign(field, value); };
    knob.get = [&field] { return value_of(field); };
  }

  /// The section's `_target_` (or the recipe): a name of the table, kept by its native spelling.
  void target(const char* role, std::string& field);

  template <class S>
  void section(const char* name, S& part, const char* meaning) {
    add(name, meaning, "");
    nested(name, part);
  }

  template <class S>
  void section(const char* name, std::optional<S>& part, const char* meaning) {
    add(name, meaning, "");
    if (mode_ == Mode::kCatalogue) {
      part.emplace();
    } else if (mode_ == Mode::kLoad) {
      const Value* node = tree_->at_path(prefix_ + name);
      if (node && node->is_map()) part.emplace();
    }
    if (part) nested(name, *part);
  }

  template <class S>
  void list(const char* name, std::vector<S>& parts, const char* meaning) {
    add(name, meaning, "");
    if (mode_ == Mode::kCatalogue) {
      parts.resize(1);
      nested(std::string(name) + "[]", parts[0]);
      return;
    }
    if (mode_ == Mode::kLoad) {
      const Value* node = tree_->at_path(prefix_ + name);
      parts.resize(node && node->is_list() ? node->items.size() : 0);
    }
    for (size_t k = 0; k < parts.size(); ++k) nested(std::string(name) + "[" + std::to_string(k) + "]", parts[k]);
  }

  /// Named sets: every top-level key that starts with `name`.
  template <class Set>
  void sets(const char* name, std::vector<Set>& sets, const char* meaning) {
    if (mode_ == Mode::kCatalogue) {
      sets.resize(1);
      add(name, meaning, "");
      nested(name, sets[0].dataset);
      return;
    }
    if (mode_ == Mode::kLoad) {
      sets.clear();
      for (const std::string& set : set_names(name)) sets.emplace_back().name = set;
    }
    for (Set& set : sets) {
      std::string key = set.name == "default" ? name : std::string(name) + "_" + set.name;
      add(key, meaning, "");
      nested(key, set.dataset);
    }
  }

 private:
  Knob& add(const std::string& name, const char* meaning, const std::string& type);
  std::vector<std::string> set_names(const std::string& prefix) const;

  template <class S>
  void nested(const std::string& name, S& part) {
    std::string outer = std::exchange(prefix_, prefix_ + name + ".");
    part.describe(*this);
    prefix_ = outer;
  }

  static const char* default_type(bool&) { return "bool"; }
  static const char* default_type(int64_t&) { return "int"; }
  static const char* default_type(double&) { return "float"; }
  static const char* default_type(std::string&) { return "string|null"; }
  static const char* default_type(std::vector<std::string>&) { return "list<string>"; }

  template <class T>
  static const char* default_type(T&) {
    return "any";  // optional and array fields name their type
  }

  static void assign(bool& field, const Value& value) { field = value.boolean; }
  static void assign(int64_t& field, const Value& value) { field = value.integer; }
  static void assign(double& field, const Value& value) { field = value.number; }
  static void assign(std::string& field, const Value& value);
  static void assign(std::vector<std::string>& field, const Value& value);
  static void assign(std::array<double, 2>& field, const Value& value);
  template <class T>
  static void assign(std::optional<T>& field, const Value& value) {
    field.reset();
    if (!value.is_null()) assign(field.emplace(), value);
  }

  static Value value_of(bool field) { return Value::of(field); }
  static Value value_of(int64_t field) { return Value::of(field); }
  static Value value_of(double field) { return Value::of(field); }
  static Value value_of(const std::string& field);
  static Value value_of(const std::vector<std::string>& field);
  static Value value_of(const std::array<double, 2>& field);
  template <class T>
  static Value value_of(const std::optional<T>& field) {
    return field ? value_of(*field) : Value::null();
  }

  Mode mode_;
  const Value* tree_;
  std::string prefix_;
  std::vector<Knob> knobs_;
  std::vector<std::pair<const void*, std::string>> owners_;
};

}  // namespace automodel::config
