// Text as Python sees it: code points of UTF-8, character classes, case mapping, repr() of strings and floats.
//
// Unicode data are utf8proc's (15.0), with the multi-character mappings that utf8proc lacks. Invalid bytes count as one
// character each and pass through unchanged.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace automodel::tokenizer::jinja {

/// The code point at `at`, which is moved behind it.
char32_t decode(std::string_view text, size_t& at);
void append_utf8(std::string& out, char32_t code);
std::vector<char32_t> code_points(std::string_view text);

int64_t count_characters(std::string_view text);
/// The byte where character `index` starts (0 <= index <= count).
size_t byte_of(std::string_view text, int64_t index);

bool is_space(char32_t code);      // str.isspace and \s
bool is_printable(char32_t code);  // repr shows it as it is
bool is_alpha(char32_t code);
bool is_decimal(char32_t code);
bool is_digit(char32_t code);
bool is_numeric(char32_t code);
bool is_upper(char32_t code);
bool is_lower(char32_t code);
bool is_title(char32_t code);
bool is_identifier(std::string_view text);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string casefold(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);  // str.title
std::string swapcase(std::string_view text);

/// `chars` empty: white space.
std::string_view strip(std::string_view text, bool left, bool right, const std::u32string* chars = nullptr);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

/// repr() of a string: 'it' or "it's", with escapes.
std::string str_repr(std::string_view text);
/// repr() of a float: 1.0, 0.1, 1e+16, inf, nan.
std::string float_repr(double value);

}  // namespace automodel::tokenizer::jinja
