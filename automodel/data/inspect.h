// What a data set looks like to the model, and what is wrong with it: the report of `automodel data`.
#pragma once

#include "automodel/data/loader.h"
#include "automodel/data/mixture.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::data {

/// Neighbouring tokens that are all trained (as targets) or all not, as text.
struct Segment {
  std::string text;
  int64_t tokens = 0;
  bool trained = false;
};

struct InspectedSample {
  std::string where;              // "file:line"
  std::vector<Segment> segments;  // the text in order; its first token is never a target
  int64_t tokens = 0, trained_tokens = 0;
};

/// One source of a mixture: its share of an epoch, and what was found in those of its rows that were looked at.
struct InspectedSource {
  MixtureShare share;
  int64_t rows = 0, unusable_rows = 0;                    // unusable: bad, or without trained tokens
  int64_t documents = 0, tokens = 0, trained_tokens = 0;  // as the model will get them
};

struct Inspection {
  std::vector<InspectedSample> samples;           // the first ones in the order of epoch 0
  std::vector<InspectedSource> sources;           // of a mixture; else empty
  bool all_rows = false;                          // of the epoch were looked at
  int64_t outside_rows = 0, outside_tokens = 0;   // rows with ids outside the vocabulary (bad ones), and such ids
  Statistics counts;                              // of the rows that were looked at, packed as the run will pack them
  int64_t shortest = 0, median = 0, longest = 0;  // tokens of a sample before any cut
  std::vector<std::string> warnings;              // sentences, the gravest first
  Json to_json() const;
};

/// Looks at the first `scan` rows of epoch 0 and shows the first `show` samples. Rows that cannot be used become
/// warnings with their file:line, never exceptions.
Inspection inspect(std::shared_ptr<Rows> rows, std::shared_ptr<const SampleBuilder> builder,
                   const tokenizer::Tokenizer& tokenizer, const LoaderOptions& options, int64_t show,
                   int64_t scan = 1000);

/// What is wrong with one sample.
struct SampleFaults {
  bool untrained = false;          // nothing is trained
  bool double_bos = false;         // begins with two
  bool no_stop = false;            // a special token behind trained text is not trained: the model never learns to stop
  std::optional<int32_t> outside;  // an id that is not below `vocabulary`, the first
  int64_t outside_tokens = 0;      // how many there are
};
SampleFaults faults_of(const Sample& sample, const tokenizer::Tokenizer& tokenizer, int64_t vocabulary);

/// The text of a sample's tokens, cut where training begins or ends.
std::vector<Segment> segments_of(const Sample& sample, const tokenizer::Tokenizer& tokenizer);

}  // namespace automodel::data
