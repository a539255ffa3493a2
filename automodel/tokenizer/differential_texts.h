// Texts for the comparison with the Python libraries: fuzzed Unicode of a seed, and lines of real text.
#pragma once

#include <filesystem>
#include <random>
#include <string>
#include <vector>

namespace automodel::tokenizer {

/// Words, marks, blanks, NUL, odd, newly assigned and unassigned code points, `added` tokens; now and then a huge run
/// of one character. Valid UTF-8.
std::string fuzzed_text(std::mt19937_64& random, const std::vector<std::string>& added);

/// The lines of the assets' plain texts, up to `bytes` of each file.
std::vector<std::string> real_texts(const std::filesystem::path& assets, size_t bytes);

}  // namespace automodel::tokenizer
