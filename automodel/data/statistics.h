// Statistics: what became of every row and token, so that nothing vanishes unseen.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::data {

/// Tokens are positions of samples (ids after the shift). Always:
///   tokens_in = tokens_out + truncated_tokens + dropped_tokens + tokens still waiting in the packing window
/// (split_samples lose nothing).
struct SourceCounts {  // of one source of a mixture
  int64_t rows = 0, tokens_out = 0, trained_tokens = 0;
  bool operator==(const SourceCounts&) const = default;
};

struct Statistics {
  int64_t rows = 0;                                     // read
  int64_t bad_rows = 0;                                 // skipped because they could not be used
  int64_t untrained_rows = 0;                           // skipped because nothing in them is trained
  int64_t samples = 0;                                  // rows that became samples
  int64_t tokens_in = 0;                                // of these samples, whole
  int64_t truncated_samples = 0, truncated_tokens = 0;  // cut at the limit; tokens that were cut off
  int64_t split_samples = 0;                            // laid out as several documents
  int64_t dropped_documents = 0, dropped_tokens = 0;    // longer than the limit, or without trained tokens after a cut
  int64_t documents = 0;                                // handed out
  int64_t tokens_out = 0, trained_tokens = 0;           // handed out
  int64_t packs = 0, pack_room = 0;                     // handed out; their tokens if all were full

  std::vector<SourceCounts> sources;  // of a mixture; else empty

  SourceCounts& of_source(int64_t source);  // grows the list
  /// Filled share of the packs; 1 without packing.
  double packing_efficiency() const {
    return pack_room > 0 ? static_cast<double>(tokens_out) / static_cast<double>(pack_room) : 1;
  }
  Statistics& operator+=(const Statistics& other);
  bool operator==(const Statistics&) const = default;

  Json to_json() const;
  static Statistics from_json(const Json& json);  // throws CheckpointError for what is not there
  /// One line: "12.3k rows, 4.5M tokens (1.2M trained), packs 99.1 % full, 3 truncated (512 tokens lost), ...".
  /// `sources`: the names of a mixture's sources, whose shares are added.
  std::string summary(const std::vector<std::string>& sources = {}) const;
};

}  // namespace automodel::data
