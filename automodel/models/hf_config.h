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

/// The whole numbers that a key may hold, both ends included. The upper ends keep the products of sizes below 2^63.
struct IntegerRange {
  int64_t least = 1, most = int64_t{1} << 26;
  std::string text() const;  // "a positive integer up to 67108864"
};
inline constexpr IntegerRange kSize{};                               // widths, vocabularies
inline constexpr IntegerRange kFew{1, 1 << 14};                      // layers, heads, dims of a head
inline constexpr IntegerRange kPositions{1, int64_t{1} << 40};       // lengths, windows
inline constexpr IntegerRange kAnyInteger{-1, int64_t{1} << 40};     // read for its being there alone
inline constexpr IntegerRange kOptionalWindow{0, int64_t{1} << 40};  // 0 stands for none

/// The numbers that a key may hold: from `least` (or above it) to `most` (or below it).
struct NumberRange {
  double least = 0, most = 0;
  bool above = false, below = false;  // whether the ends themselves are left out
  bool holds(double value) const;
  std::string text() const;  // "a number from 0 to below 1"
};
inline constexpr NumberRange kEpsilon{.most = 1};                  // of a norm
inline constexpr NumberRange kDeviation{.most = 1e4};              // of random weights
inline constexpr NumberRange kDropout{.most = 1, .below = true};   // 1 would leave nothing
inline constexpr NumberRange kShare{.most = 1, .above = true};     // a part of a whole
inline constexpr NumberRange kBase{.least = 1, .most = 1e30};      // of rotary angles
inline constexpr NumberRange kFactor{.least = 1e-6, .most = 1e9};  // what is multiplied or divided by
inline constexpr NumberRange kMscale{.most = 1e9};                 // yarn's; 0 stands for none

/// A family asks for the keys it obeys; finish() throws for any other key that is not on the shared list of keys
/// without effect on training. Keys asked for are remembered, so a family's reader is also its list.
class HfConfig {
 public:
  /// `where` is the file, for errors.
  HfConfig(Json json, std::string where);

  const Json& json() const { return json_; }
  const std::string& where() const { return where_; }
  std::string model_type() const;

  // Numbers: absent or null is the fallback (none: the key is required); anything outside the range is a ConfigError
  // that names file, key, what came and what is allowed.
  int64_t integer(const std::string& key, const IntegerRange& range);
  int64_t integer(const std::string& key, int64_t fallback, const IntegerRange& range);
  double number(const std::string& key, double fallback, const NumberRange& range);
  std::optional<double> optional_number(const std::string& key, const NumberRange& range);
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
  std::optional<int64_t> optional_integer(const std::string& key, const IntegerRange& range);

  Json json_;
  std::string where_;
  std::set<std::string> obeyed_;
};

}  // namespace automodel::models
