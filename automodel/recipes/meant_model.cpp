#include "automodel/recipes/meant_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "automodel/base/text.h"
#include "automodel/models/known_models.h"
#include "automodel/net/resolve.h"

namespace automodel::recipes {

static std::string in_small_letters(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

static std::string digits_of(std::string text) {
  std::erase_if(text, [](char c) { return c < '0' || c > '9'; });
  return text;
}

std::string ask_for_meant_model(const std::string& name, const std::string& cache_dir) {
  constexpr size_t kFar = 3;
  const auto distance = [given = in_small_letters(name)](const std::string& id) {
    return digits_of(id) == digits_of(given) ? edit_distance(given, in_small_letters(id)) : kFar;
  };
  std::string meant;
  const char* where = "";
  size_t least = kFar;
  const auto look_at = [&](const std::string& id, const char* place) {
    if (const size_t far = distance(id); far < least) meant = id, where = place, least = far;
  };
  for (const auto& id : net::cached_models(cache_dir)) look_at(id, "which is in the cache");
  for (const auto& known : models::known_models())
    look_at(known.id, "which a benchmark of random tokens knows without the Hub");
  return meant.empty() || meant == name ? "" : fmt::format("did you mean {}, {}?", meant, where);
}

}  // namespace automodel::recipes
