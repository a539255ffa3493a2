// Cutting the pieces of a Work: by matches of a pattern, by single characters, with the library's ways to treat the
// delimiter.
//
// Of "a-b" cut at "-": removed [a b], isolated [a - b], merged with previous [a- b], merged with next [a -b];
// contiguous isolates runs of matches as one.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

#include "automodel/tokenizer/pre_tokenizer.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct Part {
  uint32_t begin, end;
  bool match;
};

inline size_t length_at(std::string_view text, size_t at) { return utf8_length(static_cast<unsigned char>(text[at])); }

// Turns the matches and gaps of one piece into pieces.
class Splitter {
 public:
  Splitter(Behavior behavior, bool invert, std::vector<Piece>& out) : behavior_(behavior), invert_(invert), out_(out) {}

  void begin_piece() {
    first_ = out_.size();
    previous_ = false;
    parts_.clear();
  }

  void add(uint32_t begin, uint32_t end, bool match) {
    match ^= invert_;
    switch (behavior_) {
      case Behavior::kIsolated:
        push(begin, end);
        break;
      case Behavior::kRemoved:
        if (!match) push(begin, end);
        break;
      case Behavior::kContiguous:
        match == previous_&& any() ? extend(end) : push(begin, end);
        break;
      case Behavior::kMergedWithPrevious:
        match && !previous_ && any() ? extend(end) : push(begin, end);
        break;
      case Behavior::kMergedWithNext:
        parts_.push_back({begin, end, match});
        break;
    }
    previous_ = match;
  }

  void end_piece() {
    if (behavior_ == Behavior::kMergedWithNext) merge_with_next();
    size_t kept = first_;
    for (size_t i = first_; i < out_.size(); ++i)
      if (out_[i].begin < out_[i].end) out_[kept++] = out_[i];
    out_.resize(kept);
  }

 private:
  bool any() const { return out_.size() > first_; }
  void push(uint32_t begin, uint32_t end) { out_.push_back({begin, end, -1}); }
  void extend(uint32_t end) { out_.back().end = end; }

  void merge_with_next() {
    bool previous = false;
    for (size_t i = parts_.size(); i-- > 0;) {
      const Part& part = parts_[i];
      if (part.match && !previous && any())
        out_.back().begin = part.begin;
      else
        push(part.begin, part.end);
      previous = part.match;
    }
    std::reverse(out_.begin() + static_cast<ptrdiff_t>(first_), out_.end());
  }

  Behavior behavior_;
  bool invert_, previous_ = false;
  std::vector<Piece>& out_;
  std::vector<Part> parts_;
  size_t first_ = 0;
};

// Cuts every open piece by what `cut(text, add)` reports: add(begin, end, is_match) over the piece, in order, without
// gaps.
template <class Cut>
void split_pieces(Work& work, Behavior behavior, bool invert, Cut cut) {
  work.spare_pieces.clear();
  Splitter splitter(behavior, invert, work.spare_pieces);
  for (const Piece& piece : work.pieces) {
    if (piece.id >= 0) {
      work.spare_pieces.push_back(piece);
      continue;
    }
    splitter.begin_piece();
    const std::string_view text = std::string_view(work.now.text).substr(piece.begin, piece.end - piece.begin);
    cut(text, [&](size_t begin, size_t end, bool match) {
      splitter.add(piece.begin + static_cast<uint32_t>(begin), piece.begin + static_cast<uint32_t>(end), match);
    });
    splitter.end_piece();
  }
  work.pieces.swap(work.spare_pieces);
}

// By a scanner with every match isolated: the way of all byte-level tokenizers.
inline void split_by_scanner(Work& work, Scanner scanner) {
  work.spare_pieces.clear();
  for (const Piece& piece : work.pieces) {
    if (piece.id >= 0) {
      work.spare_pieces.push_back(piece);
      continue;
    }
    const std::string_view text = std::string_view(work.now.text).substr(piece.begin, piece.end - piece.begin);
    size_t gap = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t end = scanner(text, at);
      if (end == at) {
        at += length_at(text, at);
        continue;
      }
      if (gap < at)
        work.spare_pieces.push_back(
            {piece.begin + static_cast<uint32_t>(gap), piece.begin + static_cast<uint32_t>(at), -1});
      work.spare_pieces.push_back(
          {piece.begin + static_cast<uint32_t>(at), piece.begin + static_cast<uint32_t>(end), -1});
      gap = at = end;
    }
    if (gap < text.size()) work.spare_pieces.push_back({piece.begin + static_cast<uint32_t>(gap), piece.end, -1});
  }
  work.pieces.swap(work.spare_pieces);
}

inline void split_by_pattern(Work& work, const Pattern& pattern, Behavior behavior, bool invert) {
  if (pattern.scanner() && behavior == Behavior::kIsolated) return split_by_scanner(work, pattern.scanner());
  split_pieces(work, behavior, invert, [&](std::string_view text, auto add) {
    Matches matches(pattern, text, work.scratch);
    size_t last = 0, begin, end;
    while (matches.next(begin, end)) {
      if (last != begin) add(last, begin, false);
      add(begin, end, true);
      last = end;
    }
    if (last != text.size()) add(last, text.size(), false);
  });
}

// Every character of which `match` holds is a match of its own.
template <class Match>
void split_by_character(Work& work, Behavior behavior, Match match) {
  split_pieces(work, behavior, false, [&](std::string_view text, auto add) {
    size_t last = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t end = at + length_at(text, at);
      if (match(decode_utf8(text.data() + at))) {
        if (last < at) add(last, at, false);
        add(at, end, true);
        last = end;
      }
      at = end;
    }
    if (last < text.size()) add(last, text.size(), false);
  });
}

}  // namespace automodel::tokenizer
