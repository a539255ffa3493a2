// Small things done with text: splitting, wildcards, the nearest word, numbers as people read them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace automodel {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& words, std::string_view separator);
/// At most five of `items` in a row, and how many more there are.
std::string list_some(std::vector<std::string> items);
std::string_view trim(std::string_view text);
std::string replace_all(std::string text, std::string_view from, std::string_view to);

/// True if `text` matches `pattern` whole, where '*' stands for any run of characters and every other character for
/// itself.
bool wildcard_match(std::string_view pattern, std::string_view text);

/// Damerau-Levenshtein distance in bytes.
size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate nearest to `word`, or "" when none is near enough to be meant (more than a third of its length away).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

std::string format_bytes(uint64_t bytes);     // "1.50 GiB", "312 KiB"
std::string format_count(uint64_t count);     // "26.1M", "1.2k"
std::string format_duration(double seconds);  // "1:02:03", "4:05", "12 s"

/// The first invalid UTF-8 byte's offset, or std::string::npos.
size_t find_invalid_utf8(std::string_view text);

/// The local or UTC time as "2026-01-31T12:34:56.789Z" (UTC, milliseconds), NeMo AutoModel's timestamp.
std::string timestamp_utc();

}  // namespace automodel
