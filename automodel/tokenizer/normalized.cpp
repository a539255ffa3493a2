#include "automodel/tokenizer/normalized.h"

#include <algorithm>

#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

void Normalized::assign(std::string_view input, size_t begin, size_t end, bool track) {
  text.assign(input.substr(begin, end - begin));
  origin = static_cast<uint32_t>(begin);
  tracked = track;
  align.clear();
  if (!track) return;
  align.resize(text.size());
  Span* spans = align.data();
  for (size_t i = 0; i < text.size();) {
    const size_t size = utf8_length(static_cast<unsigned char>(text[i]));
    const Span span{static_cast<uint32_t>(begin + i), static_cast<uint32_t>(begin + i + size)};
    for (const size_t last = std::min(i + size, text.size()); i < last; ++i) spans[i] = span;
  }
}

Rewrite::Rewrite(const Normalized& from, size_t begin, uint32_t origin, Normalized& to)
    : from_(from), to_(to), begin_(begin), at_(begin), origin_(origin) {}

void Rewrite::align(Span span, size_t count) {
  if (from_.tracked) to_.align.insert(to_.align.end(), count, span);
}

void Rewrite::keep(size_t bytes) {
  to_.text.append(from_.text, at_, bytes);
  if (from_.tracked) to_.align.insert(to_.align.end(), from_.align.begin() + at_, from_.align.begin() + at_ + bytes);
  at_ += bytes;
}

void Rewrite::replace(uint32_t code, size_t bytes) {
  const size_t before = to_.text.size();
  append_utf8(to_.text, code);
  if (from_.tracked) align(from_.align[at_], to_.text.size() - before);
  at_ += bytes;
}

void Rewrite::insert(std::string_view text) {
  to_.text.append(text);
  if (from_.tracked) align(at_ > begin_ ? from_.align[at_ - 1] : Span{origin_, origin_}, text.size());
}

void Rewrite::insert(uint32_t code) {
  const size_t before = to_.text.size();
  append_utf8(to_.text, code);
  if (from_.tracked) align(at_ > begin_ ? from_.align[at_ - 1] : Span{origin_, origin_}, to_.text.size() - before);
}

void Rewrite::transform(uint32_t code, int32_t change) {
  size_t bytes = 0;
  for (int32_t n = 0; change <= 0 && n <= -change && at_ + bytes < from_.text.size(); ++n)
    bytes += utf8_length(static_cast<unsigned char>(from_.text[at_ + bytes]));
  if (bytes == 0)
    insert(code);
  else
    replace(code, bytes);
}

}  // namespace automodel::tokenizer
