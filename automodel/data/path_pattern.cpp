#include "automodel/data/path_pattern.h"

#include "automodel/base/text.h"

namespace automodel::data {
namespace {

/// The set that starts at pattern[at] == '['; npos when it does not end, so that '[' stands for itself.
size_t end_of_set(std::string_view pattern, size_t at) {
  size_t end = at + 1;
  if (end < pattern.size() && (pattern[end] == '!' || pattern[end] == '^')) ++end;
  if (end < pattern.size() && pattern[end] == ']') ++end;
  while (end < pattern.size() && pattern[end] != ']') ++end;
  return end < pattern.size() ? end : std::string_view::npos;
}

bool in_set(std::string_view set, char c) {  // without its brackets
  const bool negated = !set.empty() && (set[0] == '!' || set[0] == '^');
  if (negated) set.remove_prefix(1);
  bool inside = false;
  for (size_t i = 0; i < set.size(); ++i) {
    if (i + 2 < set.size() && set[i + 1] == '-') {
      inside = inside || (set[i] <= c && c <= set[i + 2]);
      i += 2;
    } else {
      inside = inside || set[i] == c;
    }
  }
  return inside != negated;
}

/// One part of a path; linear in its length times the number of stars.
bool part_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    bool fits = false;
    size_t next = p + 1;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
      continue;
    }
    if (p < pattern.size()) {
      const size_t end = pattern[p] == '[' ? end_of_set(pattern, p) : std::string_view::npos;
      if (end != std::string_view::npos) {
        fits = in_set(pattern.substr(p + 1, end - p - 1), text[t]);
        next = end + 1;
      } else {
        fits = pattern[p] == '?' || pattern[p] == text[t];
      }
    }
    if (fits) {
      p = next;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

size_t marked_parts(const std::vector<std::string>& parts, std::string_view mark, bool folders_only) {
  size_t count = 0;
  for (size_t i = 0; i < parts.size(); ++i)
    count +=
        parts[i].starts_with(mark) && parts[i] != "." && parts[i] != ".." && (!folders_only || i + 1 < parts.size());
  return count;
}

}  // namespace

bool is_path_pattern(std::string_view text) { return text.find_first_of("*?[") != std::string_view::npos; }

bool path_matches(std::string_view pattern, std::string_view path) {
  const auto wanted = split(pattern, '/'), parts = split(path, '/');
  // matches[k]: the pattern's parts so far can end before part k of the path.
  std::vector<char> matches(parts.size() + 1, 0);
  matches[0] = 1;
  for (size_t w = 0; w < wanted.size(); ++w) {
    std::vector<char> next(parts.size() + 1, 0);
    const bool last = w + 1 == wanted.size();
    for (size_t k = 0; k <= parts.size(); ++k) {
      if (!matches[k]) continue;
      if (wanted[w] == "**") {
        for (size_t j = k + (last ? 1 : 0); j <= parts.size(); ++j) next[j] = 1;
      } else if (k < parts.size() && part_matches(wanted[w], parts[k])) {
        next[k + 1] = 1;
      }
    }
    matches = std::move(next);
  }
  return matches.back();
}

std::vector<std::string> match_paths(std::string_view pattern, const std::vector<std::string>& paths) {
  const auto wanted = split(pattern, '/');
  const size_t hidden = marked_parts(wanted, ".", false), special = marked_parts(wanted, "__", true);
  std::vector<std::string> found;
  for (const auto& path : paths) {
    if (!path_matches(pattern, path)) continue;
    const auto parts = split(path, '/');
    if (marked_parts(parts, ".", false) == hidden && marked_parts(parts, "__", true) == special) found.push_back(path);
  }
  return found;
}

}  // namespace automodel::data
