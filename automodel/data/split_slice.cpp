#include "automodel/data/split_slice.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::data {

static const char* const kHint = "write it as train, train[:1000], train[10%:20%] or train+test";

namespace {
struct NoSplit {};
}  // namespace

[[noreturn]] static void fail() { throw NoSplit(); }

static std::optional<int64_t> parse_bound(std::string_view text, bool& percent, const std::string& split) {
  if (text.ends_with('%')) {
    percent = true;
    text.remove_suffix(1);
    if (text.empty()) fail();
  }
  if (text.empty()) return std::nullopt;
  const std::string digits = replace_all(std::string(text), "_", "");
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) fail();
  return value;
}

static SplitSlice parse_one(std::string_view text, const std::string& split) {
  SplitSlice slice;
  const size_t open = text.find('[');
  slice.name = std::string(trim(text.substr(0, open)));
  for (const char c : slice.name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != '-') fail();
  if (open == std::string_view::npos) return slice;
  const std::string_view inside = text.substr(open + 1);
  const size_t colon = inside.find(':');
  if (!inside.ends_with(']') || colon == std::string_view::npos) fail();
  slice.from = parse_bound(trim(inside.substr(0, colon)), slice.percent, split);
  slice.to = parse_bound(trim(inside.substr(colon + 1, inside.size() - colon - 2)), slice.percent, split);
  if (slice.percent && (std::abs(slice.from.value_or(0)) > 100 || std::abs(slice.to.value_or(0)) > 100)) fail();
  return slice;
}

static std::vector<SplitSlice> parse_all(const std::string& split) {
  if (trim(split).empty()) return {SplitSlice{}};
  std::vector<SplitSlice> slices;
  for (const auto& part : automodel::split(split, '+')) {
    if (trim(part).empty()) fail();
    slices.push_back(parse_one(trim(part), split));
  }
  return slices;
}

std::vector<SplitSlice> parse_split(const std::string& split, const std::string& key) {
  try {
    return parse_all(split);
  } catch (const NoSplit&) {
    throw ConfigError(key, fmt::format("'{}' is not a split", split), kHint);
  }
}

std::pair<int64_t, int64_t> SplitSlice::range(int64_t rows) const {
  const auto place = [&](int64_t bound) {
    if (percent)
      bound = static_cast<int64_t>(std::nearbyint(static_cast<double>(bound) * static_cast<double>(rows) / 100.0));
    if (bound < 0) bound = std::max<int64_t>(rows + bound, 0);
    return std::min(bound, rows);
  };
  const int64_t first = from ? place(*from) : 0, last = to ? place(*to) : rows;
  return {first, std::max(first, last)};
}

}  // namespace automodel::data
