#include "automodel/data/inspect.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::data {

std::vector<Segment> segments_of(const Sample& sample, const tokenizer::Tokenizer& tokenizer) {
  std::vector<int32_t> tokens = sample.ids;
  std::vector<bool> trained{false};
  for (size_t t = 0; t + 1 < tokens.size(); ++t) trained.push_back(sample.labels[t] != kNotTrained);
  if (!sample.labels.empty() && sample.labels.back() != kNotTrained) {  // the last target is not among the inputs
    tokens.push_back(sample.labels.back());
    trained.push_back(true);
  }
  std::vector<Segment> segments;
  for (size_t begin = 0, end; begin < tokens.size(); begin = end) {
    for (end = begin + 1; end < tokens.size() && trained[end] == trained[begin];) ++end;
    const std::span<const int32_t> run(tokens.data() + begin, end - begin);
    segments.push_back({tokenizer.decode(run), static_cast<int64_t>(run.size()), trained[begin]});
  }
  return segments;
}

// Whether what is trained up to token t ends in a special one, but for blanks: templates put a line's end behind it.
static bool ends_in_special(const Sample& sample, size_t t, const tokenizer::Tokenizer& tokenizer) {
  for (; t > 0 && sample.labels[t - 1] != kNotTrained; --t) {
    if (tokenizer.is_special(sample.ids[t])) return true;
    if (!trim(tokenizer.decode({&sample.ids[t], 1})).empty()) return false;
  }
  return false;
}

SampleFaults faults_of(const Sample& sample, const tokenizer::Tokenizer& tokenizer, int64_t vocabulary) {
  SampleFaults faults;
  const auto& ids = sample.ids;
  faults.untrained = sample.trained_tokens() == 0;
  faults.double_bos = tokenizer.bos_id && ids.size() > 1 && ids[0] == *tokenizer.bos_id && ids[1] == *tokenizer.bos_id;
  const auto is_outside = [&](int32_t id) { return id < 0 || id >= vocabulary; };
  const auto outside = std::find_if(ids.begin(), ids.end(), is_outside);
  if (outside != ids.end()) faults.outside = *outside;
  const int32_t last = ids.empty() ? kNotTrained : sample.labels.back();  // a target that is not among the inputs
  if (!faults.outside && last != kNotTrained && is_outside(last)) faults.outside = last;
  for (size_t t = 1; t + 1 < ids.size() && !faults.no_stop; ++t)
    faults.no_stop = sample.labels[t - 1] != kNotTrained && sample.labels[t] == kNotTrained &&
                     tokenizer.is_special(ids[t + 1]) && !ends_in_special(sample, t, tokenizer);
  return faults;
}

namespace {

/// Counts faults of a kind and remembers where the first was.
struct Finding {
  int64_t count = 0;
  std::string first;
  void add(const std::string& what) {
    if (count++ == 0) first = what;
  }
};

struct Findings {
  Finding bad, untrained, lost_training, truncated, dropped, double_bos, outside, no_stop;
};

void look_at(const Sample& sample, const std::string& where, const tokenizer::Tokenizer& tokenizer,
             const LoaderOptions& options, Findings& found) {
  const auto faults =
      faults_of(sample, tokenizer, options.read.vocab_size > 0 ? options.read.vocab_size : tokenizer.vocab_size());
  if (faults.double_bos) found.double_bos.add(where);
  if (faults.outside) found.outside.add(fmt::format("{}, id {}", where, *faults.outside));
  if (faults.no_stop) found.no_stop.add(where);
}

void look_at_row(const RowReader& reader, int64_t index, Sample& sample, std::string& where,
                 const SampleBuilder& builder, Findings& found) {
  where = fmt::format("row {}", index);
  try {
    const Row row = reader.rows().at(index);
    where = row.where;
    sample = builder.build(row);
    if (sample.ids.empty())
      found.bad.add(where + ": has fewer than two tokens");
    else if (sample.trained_tokens() == 0)
      found.untrained.add(where);
  } catch (const Error& error) {
    found.bad.add(error.what());
  }
}

std::vector<std::string> warnings_of(const Findings& found, int64_t rows, const LoaderOptions& options,
                                     std::vector<std::string> notes) {
  std::vector<std::string> warnings;
  const auto warn = [&](const Finding& finding, const std::string& what) {
    if (finding.count > 0)
      warnings.push_back(fmt::format("{} of {} rows {} (first: {})", finding.count, rows, what, finding.first));
  };
  warn(found.bad, options.read.bad_rows == OnFault::Stop ? "cannot be used and will stop the run"
                                                         : "cannot be used and will be skipped");
  warn(found.outside, "hold token ids outside the vocabulary");
  warn(found.untrained, options.read.untrained_rows == OnFault::Stop ? "have no trained tokens and will stop the run"
                                                                     : "have no trained tokens and will be skipped");
  warn(found.lost_training, "lose all their trained tokens by the cut at the length limit and are dropped");
  warn(found.dropped, options.read.over_long == OverLong::Error ? "are longer than the limit and will stop the run"
                                                                : "are longer than the limit and are dropped");
  warn(found.truncated, "are truncated at the length limit");
  warn(found.double_bos, "begin with two bos tokens (the template writes one and the tokenizer adds one)");
  warn(found.no_stop, "leave the token that ends the assistant's turn untrained, so the model does not learn to stop");
  for (auto& note : notes) warnings.push_back(std::move(note));
  return warnings;
}

}  // namespace

Inspection inspect(std::shared_ptr<Rows> rows, std::shared_ptr<const SampleBuilder> builder,
                   const tokenizer::Tokenizer& tokenizer, const LoaderOptions& options, int64_t show, int64_t scan) {
  ReadOptions read = options.read;
  const int64_t pack = options.pack.packed_sequence_size;
  if (pack > 0 && (read.max_tokens == 0 || read.max_tokens > pack)) read.max_tokens = pack;
  const RowReader reader(rows, builder, read);
  Inspection report;
  Findings found;
  std::vector<int64_t> lengths;
  Packer packer(pack, options.pack.packing, options.pack.window);
  Statistics& counts = report.counts;
  const auto drain = [&](bool ended) {
    while (packer.ready(ended)) {
      for (const auto& document : packer.take()) {
        ++counts.documents;
        counts.tokens_out += document.sample.tokens();
        counts.trained_tokens += document.sample.trained_tokens();
      }
      ++counts.packs;
      counts.pack_room += pack;
    }
  };
  for (int64_t position = 0; position < scan && rows->has(position); ++position) {
    Sample sample;
    std::string where;
    ++counts.rows;
    const int64_t faults = found.bad.count;
    look_at_row(reader, reader.row_index(0, position), sample, where, *builder, found);
    if (found.bad.count > faults) continue;
    look_at(sample, where, tokenizer, options, found);
    if (static_cast<int64_t>(report.samples.size()) < show)
      report.samples.push_back({where, segments_of(sample, tokenizer), sample.tokens(), sample.trained_tokens()});
    if (sample.trained_tokens() == 0) continue;
    lengths.push_back(sample.tokens());
    ++counts.samples;
    counts.tokens_in += sample.tokens();
    const Statistics before = counts;
    auto documents = fit(std::move(sample), read.max_tokens, read.over_long, counts);
    if (counts.truncated_samples > before.truncated_samples)
      (documents.empty() ? found.lost_training : found.truncated).add(where);
    else if (documents.empty())
      found.dropped.add(where);
    for (auto& document : documents) packer.add({std::move(document), position, 0});
    drain(false);
  }
  drain(true);
  std::sort(lengths.begin(), lengths.end());
  if (!lengths.empty())
    report.shortest = lengths.front(), report.median = lengths[lengths.size() / 2], report.longest = lengths.back();
  counts.bad_rows = found.bad.count;
  counts.untrained_rows = found.untrained.count;
  report.warnings = warnings_of(found, counts.rows, options, builder->notes());
  return report;
}

Json Inspection::to_json() const {
  Json json = {{"samples", Json::array()}, {"statistics", counts.to_json()},
               {"shortest", shortest},     {"median", median},
               {"longest", longest},       {"packing_efficiency", counts.packing_efficiency()},
               {"warnings", warnings}};
  for (const auto& sample : samples) {
    Json segments = Json::array();
    for (const auto& segment : sample.segments)
      segments.push_back({{"text", segment.text}, {"tokens", segment.tokens}, {"trained", segment.trained}});
    json["samples"].push_back({{"where", sample.where},
                               {"tokens", sample.tokens},
                               {"trained_tokens", sample.trained_tokens},
                               {"segments", segments}});
  }
  return json;
}

}  // namespace automodel::data
