// HfConfig: a config.json whose every key is accounted for.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::models {

/// A family asks for the keys it obeys; finish() throws for any other key that is not on the shared list of keys
/// without effect on training. Keys asked for are remembered, so a family's reader is also its list.
class HfConfig {
 public:
  /// `where` is the file, for errors.
  HfConfig(Json json, std::string where);

  const Json& json() const { return json_; }
  const std::string& where() const { return where_; }
  std::string model_type() const;

  int64_t integer(const std::string& key);                    // required
  int64_t integer(const std::string& key, int64_t fallback);  // absent or null: the fallback
  std::optional<int64_t> optional_integer(const std::string& key);
  double number(const std::string& key, double fallback);
  std::optional<double> optional_number(const std::string& key);
  bool boolean(const std::string& key, bool fallback);
  std::string text(const std::string& key, const std::string& fallback);
  std::vector<std::string> texts(const std::string& key);  // absent or null: empty
  /// The value as it is (null if absent); counts as obeyed.
  const Json& value(const std::string& key);
  /// Declares a key that must be absent, null or equal to `expected`: anything else is an UnsupportedError.
  void require(const std::string& key, const Json& expected, const std::string& why);

  /// Counts as obeyed here what `other`, a config derived from this one, was asked for.
  void adopt(const HfConfig& other) { obeyed_.insert(other.obeyed_.begin(), other.obeyed_.end()); }

  /// Throws ConfigError for keys nobody asked for; `allowed` are let pass by name (--model.allow_config_keys).
  void finish(const std::vector<std::string>& allowed) const;

 private:
  [[noreturn]] void wrong(const std::string& key, const std::string& expected) const;

  Json json_;
  std::string where_;
  std::set<std::string> obeyed_;
};

}  // namespace automodel::models
