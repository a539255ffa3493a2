// A tree of Python values with the place each came from: what the YAML loader gives and what overrides change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace automodel::config {

/// Where a key or value stands in its file, from 1; line 0 is the command line or a default.
struct Place {
  int line = 0;
  int column = 0;
};

struct Entry;

/// None, bool, int (64 bits), float, str, list or dict (in the order of the file).
struct Value {
  enum class Kind { kNull, kBool, kInt, kFloat, kString, kList, kMap };

  Kind kind = Kind::kNull;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;
  std::string text;     ///< of a string; of another scalar: as it stood in the file
  std::string written;  ///< for values from the environment: what the file says, printed instead of the value
  std::string missing;  ///< name of an environment variable that is not set and has no default
  Place place;
  bool quoted = false;       ///< the scalar stood in quotes or as a block
  bool anchor_used = false;  ///< an alias refers to this value
  std::vector<Value> items;
  std::vector<Entry> entries;

  static Value null();
  static Value of(bool value);
  static Value of(int64_t value);
  static Value of(double value);
  static Value of(std::string value);
  static Value list(std::vector<Value> items);

  bool is(Kind other) const { return kind == other; }
  bool is_null() const { return kind == Kind::kNull; }
  bool is_map() const { return kind == Kind::kMap; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_string() const { return kind == Kind::kString; }

  /// The entry of this key, or nullptr; nullptr too when this is not a map.
  const Value* find(std::string_view key) const;
  Value* find(std::string_view key);
  /// The value at "a.b.c" or "a.b[0].c", or nullptr.
  const Value* at_path(std::string_view path) const;
};

struct Entry {
  std::string key;
  Place place;
  Value value;
};

inline Value Value::null() { return {}; }  // here, where an Entry is whole

/// "None", "bool", ... as messages name them.
std::string_view kind_name(Value::Kind kind);

/// One line of YAML flow style that load_yaml() and translate() read back to the same value. Values from the
/// environment show what the file says.
std::string to_yaml(const Value& value);

/// True for keys whose values are never printed: password, secret, token, apikey, api_key or auth as a word of the name
/// (hf_token, but not tokenizer, max_new_tokens or author).
bool is_secret_key(std::string_view key);

/// to_yaml(), or "***" for a secret key whose value is not null and not a ${VARIABLE}.
std::string to_printable(std::string_view key, const Value& value);

}  // namespace automodel::config
