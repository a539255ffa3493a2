#include "automodel/data/row_reader.h"

#include <fmt/format.h>

#include "automodel/base/error.h"

namespace automodel::data {

RowReader::RowReader(std::shared_ptr<Rows> rows, std::shared_ptr<const SampleBuilder> builder, ReadOptions options)
    : rows_(std::move(rows)), builder_(std::move(builder)), options_(options) {}

int64_t RowReader::row_index(int64_t epoch, int64_t position) const {
  return rows_->index_at(epoch, position, {options_.shuffle, options_.seed});
}

OnFault RowReader::on_bad(int64_t source) const {
  return options_.sources.empty() ? options_.bad_rows : options_.sources.at(static_cast<size_t>(source)).bad_rows;
}
OnFault RowReader::on_untrained(int64_t source) const {
  return options_.sources.empty() ? options_.untrained_rows
                                  : options_.sources.at(static_cast<size_t>(source)).untrained_rows;
}

static constexpr const char* kRemedy =
    "`automodel data` shows how many there are; dataset.skip_invalid_samples: true leaves such rows out and counts "
    "them";

// A fault that names no remedy of its own names the one that all rows have.
static DataError with_remedy(const DataError& error) {
  return error.hint().empty() ? DataError("", error.message(), kRemedy) : error;
}

Sample RowReader::build(int64_t index) const {
  auto kept = options_.cache ? options_.cache->find(index) : std::nullopt;
  Sample sample = kept ? std::move(*kept) : builder_->build(rows_->at(index));
  AM_CHECK(sample.ids.size() == sample.labels.size(), "{} ids, {} labels", sample.ids.size(), sample.labels.size());
  const auto where = [&] { return rows_->at(index).where; };
  if (sample.ids.empty()) throw DataError(where(), "has fewer than two tokens, so nothing to predict");
  if (options_.vocab_size > 0) {
    const auto check = [&](int32_t id) {
      if (id < 0 || id >= options_.vocab_size)
        throw DataError(where(),
                        fmt::format("token id {} is outside the model's vocabulary of {}", id, options_.vocab_size),
                        "the tokenizer and the model do not belong together");
    };
    for (const int32_t id : sample.ids) check(id);
    if (sample.labels.back() != kNotTrained) check(sample.labels.back());  // the last target is not among the inputs
  }
  if (options_.cache && !kept) options_.cache->add(index, sample);
  return sample;
}

void RowReader::make_documents(int64_t index, int64_t position, ReadRow& result) const {
  Sample sample;
  const int64_t source = rows_->source_of(index);
  if (!options_.sources.empty()) ++result.counts.of_source(source).rows;
  try {
    sample = build(index);
  } catch (const DataError& error) {
    if (on_bad(source) == OnFault::Stop) throw with_remedy(error);
    ++result.counts.bad_rows;
    return;
  }
  if (sample.trained_tokens() == 0) {
    if (on_untrained(source) == OnFault::Stop)
      throw DataError(rows_->at(index).where, "the sample has no trained tokens", kRemedy);
    ++result.counts.untrained_rows;
    return;
  }
  if (options_.over_long == OverLong::Error && options_.max_tokens > 0 && sample.tokens() > options_.max_tokens)
    throw DataError(
        rows_->at(index).where,
        fmt::format("the sample has {} tokens, more than the {} that fit", sample.tokens(), options_.max_tokens),
        "raise dataset.seq_length or packed_sequence.packed_sequence_size, or set dataset.overlong to truncate, "
        "split or drop");
  ++result.counts.samples;
  result.counts.tokens_in += sample.tokens();
  auto pieces = fit(std::move(sample), options_.max_tokens, options_.over_long, result.counts);
  for (size_t i = 0; i < pieces.size(); ++i)
    result.documents.push_back(
        {std::move(pieces[i]), position, static_cast<int64_t>(i), options_.sources.empty() ? -1 : source});
}

ReadRow RowReader::read(int64_t epoch, int64_t position) const {
  ReadRow result;
  try {
    result.exists = rows_->has(position);
    if (!result.exists) return result;
    ++result.counts.rows;
    make_documents(row_index(epoch, position), position, result);
  } catch (...) {
    result.exists = true;
    result.error = std::current_exception();
  }
  return result;
}

}  // namespace automodel::data
