// Normalized: a stretch of text under change, knowing which bytes of the input each of its bytes came from.
//
// Alignment follows the `tokenizers` library: a replacing character takes the place of the one it replaces, an inserted
// one the place of the byte before it. Alignments cost 8 bytes a byte and are kept only where offsets are wanted
// (`tracked`).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace automodel::tokenizer {

struct Span {
  uint32_t begin = 0, end = 0;
};

struct Normalized {
  std::string text;
  std::vector<Span> align;  // one a byte of `text`, bytes of the whole input; empty if not tracked
  uint32_t origin = 0;      // where this stretch starts in the whole input
  bool tracked = false;

  /// Takes input[begin, end) unchanged.
  void assign(std::string_view input, size_t begin, size_t end, bool track);
};

/// A piece of a Normalized: bytes [begin, end) of its text; `id` >= 0 if it is an added token and final.
struct Piece {
  uint32_t begin = 0, end = 0;
  int32_t id = -1;
};

/// Rewrites (a part of) a Normalized from left to right into `to`, keeping alignment. `at` is the next byte of the
/// source.
class Rewrite {
 public:
  /// Appends to `to` what becomes of from[begin, ...); `origin` stands for what is inserted before any source byte.
  Rewrite(const Normalized& from, size_t begin, uint32_t origin, Normalized& to);

  void keep(size_t bytes);                    // copies source bytes
  void drop(size_t bytes) { at_ += bytes; }   // leaves them out
  void replace(uint32_t code, size_t bytes);  // `code` stands for the next `bytes`, aligned with the first of them
  void insert(std::string_view text);         // new text, aligned with the source byte before
  void insert(uint32_t code);
  /// The library's own measure of a change: 1 inserts `code`, 0 puts it in place of one character, -n in place of 1 +
  /// n.
  void transform(uint32_t code, int32_t change);
  size_t at() const { return at_; }

 private:
  void align(Span span, size_t count);

  const Normalized& from_;
  Normalized& to_;
  size_t begin_, at_;
  uint32_t origin_;
};

}  // namespace automodel::tokenizer
