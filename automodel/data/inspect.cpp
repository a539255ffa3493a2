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
  const auto look = [&](int32_t id) {
    if (!is_outside(id)) return;
    if (faults.outside_tokens++ == 0) faults.outside = id;
  };
  for (const int32_t id : ids) look(id);
  const int32_t last = ids.empty() ? kNotTrained : sample.labels.back();  // a target that is not among the inputs
  if (last != kNotTrained) look(last);
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

std::vector<std::string> warnings_of(const Findings& found, int64_t rows, const LoaderOptions& options,
                                     std::vector<std::string> notes) {
  std::vector<std::string> warnings;
  const auto warn = [&](const Finding& finding, const std::string& what) {
    if (finding.count > 0)
      warnings.push_back(fmt::format("{} of {} rows {} (first: {})", finding.count, rows, what, finding.first));
  };
  warn(found.bad, options.read.bad_rows == OnFault::Stop ? "cannot be used and will stop the run"
                                                         : "cannot be used and will be skipped");
  warn(found.outside, options.read.bad_rows == OnFault::Stop
                          ? "hold token ids outside the model's vocabulary and will stop the run"
                          : "hold token ids outside the model's vocabulary and will be skipped");
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

LoaderOptions with_pack_limit(LoaderOptions options) {
  const int64_t pack = options.pack.packed_sequence_size;
  int64_t& limit = options.read.max_tokens;
  if (pack > 0 && (limit == 0 || limit > pack)) limit = pack;
  return options;
}

class Inspector {
 public:
  Inspector(std::shared_ptr<Rows> rows, std::shared_ptr<const SampleBuilder> builder,
            const tokenizer::Tokenizer& tokenizer, const LoaderOptions& options, int64_t show)
      : options_(with_pack_limit(options)),
        builder_(*builder),
        tokenizer_(tokenizer),
        reader_(rows, builder, options_.read),
        show_(show),
        vocabulary_(options.read.vocab_size > 0 ? options.read.vocab_size : tokenizer.vocab_size()),
        packer_(options.pack.packed_sequence_size, options.pack.packing, options.pack.window) {
    if (const auto* mixture = dynamic_cast<const Mixture*>(rows.get()))
      for (auto& share : mixture->shares()) report_.sources.push_back({std::move(share)});
  }

  Inspection look(int64_t scan) {
    const bool endless = reader_.rows().endless();
    if (endless) scan = std::min(scan, reader_.rows().size());  // each once
    for (int64_t position = 0; position < scan && reader_.rows().has(position); ++position) look_at_row(position);
    report_.all_rows =
        endless ? report_.counts.rows == reader_.rows().size() : !reader_.rows().has(report_.counts.rows);
    take_packs(true);
    std::sort(lengths_.begin(), lengths_.end());
    if (!lengths_.empty())
      report_.shortest = lengths_.front(), report_.median = lengths_[lengths_.size() / 2],
      report_.longest = lengths_.back();
    report_.counts.bad_rows = found_.bad.count + found_.outside.count;
    report_.counts.untrained_rows = found_.untrained.count;
    report_.outside_rows = found_.outside.count;
    if (report_.outside_tokens > 0)
      found_.outside.first +=
          fmt::format(" of a vocabulary of {}; {} such tokens in all", vocabulary_, report_.outside_tokens);
    report_.warnings = warnings_of(found_, report_.counts.rows, options_, builder_.notes());
    return std::move(report_);
  }

 private:
  // The row's sample; nothing where it cannot be used.
  std::optional<Sample> read(int64_t index, std::string& where) {
    where = fmt::format("row {}", index);
    try {
      const Row row = reader_.rows().at(index);
      where = row.where;
      Sample sample = builder_.build(row);
      if (!sample.ids.empty()) return sample;
      found_.bad.add(where + ": has fewer than two tokens");
    } catch (const Error& error) {
      const auto hint = error.hint();
      found_.bad.add(error.message() + (hint.empty() ? "" : "; " + hint));  // one line, within brackets
    }
    return std::nullopt;
  }

  // Whether the run trains on the sample.
  bool is_usable(const Sample& sample, const std::string& where) {
    const auto faults = faults_of(sample, tokenizer_, vocabulary_);
    if (faults.double_bos) found_.double_bos.add(where);
    if (faults.no_stop) found_.no_stop.add(where);
    report_.outside_tokens += faults.outside_tokens;
    if (faults.outside)
      found_.outside.add(fmt::format("{}, id {}", where, *faults.outside));
    else if (faults.untrained)
      found_.untrained.add(where);
    return !faults.outside && !faults.untrained;
  }

  void look_at_row(int64_t position) {
    const int64_t index = reader_.row_index(0, position), source = reader_.rows().source_of(index);
    InspectedSource* of_source = report_.sources.empty() ? nullptr : &report_.sources.at(static_cast<size_t>(source));
    ++report_.counts.rows;
    if (of_source) ++of_source->rows, ++report_.counts.of_source(source).rows;
    std::string where;
    auto sample = read(index, where);
    const bool usable = sample && is_usable(*sample, where);
    if (sample && static_cast<int64_t>(report_.samples.size()) < show_)
      report_.samples.push_back({where, segments_of(*sample, tokenizer_), sample->tokens(), sample->trained_tokens()});
    if (!usable) {
      if (of_source) ++of_source->unusable_rows;
      return;
    }
    lengths_.push_back(sample->tokens());
    lay_out(std::move(*sample), where, position, of_source ? source : -1);
  }

  void lay_out(Sample sample, const std::string& where, int64_t position, int64_t source) {
    Statistics& counts = report_.counts;
    ++counts.samples;
    counts.tokens_in += sample.tokens();
    const int64_t truncated = counts.truncated_samples;
    auto documents = fit(std::move(sample), options_.read.max_tokens, options_.read.over_long, counts);
    if (counts.truncated_samples > truncated)
      (documents.empty() ? found_.lost_training : found_.truncated).add(where);
    else if (documents.empty())
      found_.dropped.add(where);
    for (auto& document : documents) packer_.add({std::move(document), position, 0, source});
    take_packs(false);
  }

  void take_packs(bool ended) {
    Statistics& counts = report_.counts;
    while (packer_.ready(ended)) {
      for (const auto& document : packer_.take()) {
        const int64_t tokens = document.sample.tokens(), trained = document.sample.trained_tokens();
        ++counts.documents, counts.tokens_out += tokens, counts.trained_tokens += trained;
        if (document.source < 0) continue;
        auto& source = report_.sources[static_cast<size_t>(document.source)];
        ++source.documents, source.tokens += tokens, source.trained_tokens += trained;
        auto& of_run = counts.of_source(document.source);
        of_run.tokens_out += tokens, of_run.trained_tokens += trained;
      }
      ++counts.packs;
      counts.pack_room += options_.pack.packed_sequence_size;
    }
  }

  LoaderOptions options_;
  const SampleBuilder& builder_;
  const tokenizer::Tokenizer& tokenizer_;
  RowReader reader_;
  int64_t show_, vocabulary_;
  Packer packer_;
  Inspection report_;
  Findings found_;
  std::vector<int64_t> lengths_;
};

Json to_json(const InspectedSource& source) {
  return {{"name", source.share.name},
          {"weight", source.share.weight ? Json(*source.share.weight) : Json()},
          {"epochs", source.share.epochs},
          {"rows_there", source.share.rows},
          {"rows_of_epoch", source.share.rows_of_epoch},
          {"rows", source.rows},
          {"unusable_rows", source.unusable_rows},
          {"documents", source.documents},
          {"tokens", source.tokens},
          {"trained_tokens", source.trained_tokens}};
}

}  // namespace

Inspection inspect(std::shared_ptr<Rows> rows, std::shared_ptr<const SampleBuilder> builder,
                   const tokenizer::Tokenizer& tokenizer, const LoaderOptions& options, int64_t show, int64_t scan) {
  return Inspector(std::move(rows), std::move(builder), tokenizer, options, show).look(scan);
}

Json Inspection::to_json() const {
  Json json = {{"samples", Json::array()}, {"statistics", counts.to_json()},
               {"shortest", shortest},     {"median", median},
               {"longest", longest},       {"packing_efficiency", counts.packing_efficiency()},
               {"all_rows", all_rows},     {"outside_vocabulary", {{"rows", outside_rows}, {"tokens", outside_tokens}}},
               {"warnings", warnings}};
  for (const auto& source : sources) json["sources"].push_back(data::to_json(source));
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
