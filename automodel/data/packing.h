// Packing: documents laid into packs of a token budget, while they stream by.
//
// A Packer holds a window of documents in the order they came. A pack is taken from it once the window is full and what
// waits would fill a pack (or the stream has ended), always beginning with the oldest document, so none waits for ever:
//   Sequential: the oldest, and those after it in order, until one does not fit. The order of documents is kept, and no
//               more of them wait than a pack takes.
//   FirstFit:   the oldest; then through the window in order, each that still fits.
//   BestFit:    the oldest; then again and again the largest that still fits.
// What a packer does next depends on its pending documents alone, so their list is all its state.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "automodel/data/sample.h"
#include "automodel/data/statistics.h"

namespace automodel::data {

enum class Packing { Sequential, FirstFit, BestFit };

struct Document {
  Sample sample;
  int64_t position = 0;  // of its row in the epoch's order
  int64_t piece = 0;     // which document of that row it is
  int64_t source = -1;   // of a mixture: which of its sources; else -1
};

class Packer {
 public:
  /// budget 0: each document is a pack of its own. `window`: documents that FirstFit and BestFit choose from, the
  /// oldest among them; fewer once they have 4 Mi tokens together, or those of 4 packs where that is more.
  Packer(int64_t budget, Packing packing, int64_t window);

  void add(Document document);  // REQUIRES 0 < tokens <= budget (if there is one)
  /// A pack can be taken. With `ended` (nothing more will be added) whatever is pending can.
  bool ready(bool ended) const;
  std::vector<Document> take();  // REQUIRES ready
  const std::deque<Document>& pending() const { return pending_; }
  int64_t pending_tokens() const { return tokens_; }

 private:
  size_t largest_that_fits(int64_t room) const;
  void move_out(size_t index, std::vector<Document>& pack);
  int64_t budget_;
  Packing packing_;
  int64_t window_;
  std::deque<Document> pending_;
  int64_t tokens_ = 0;
};

/// What happens to a sample of more tokens than the limit.
enum class OverLong { Truncate, Split, Drop, Error };

/// "truncate", "split", "drop", "error"; throws ConfigError for other words.
OverLong parse_over_long(const std::string& name);

/// Lays a sample out as documents of at most `limit` tokens (0: no limit), counting what is lost. After a cut, a
/// document without trained tokens is dropped and counted; a whole sample is passed on as it is. With Error a longer
/// one is dropped and counted too: to stop is for the caller, who knows its row.
std::vector<Sample> fit(Sample sample, int64_t limit, OverLong over_long, Statistics& statistics);

}  // namespace automodel::data
