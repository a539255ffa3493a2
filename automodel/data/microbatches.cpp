#include "automodel/data/microbatches.h"

#include <fmt/format.h>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::data {

Json StreamState::to_json() const {
  return {{"epoch", epoch},
          {"position", position},
          {"epoch_packs", epoch_packs},
          {"pending", pending},
          {"statistics", statistics.to_json()}};
}

StreamState StreamState::from_json(const Json& json) {
  StreamState state;
  try {
    state.epoch = json.at("epoch").get<int64_t>();
    state.position = json.at("position").get<int64_t>();
    state.epoch_packs = json.at("epoch_packs").get<int64_t>();
    state.pending = json.at("pending").get<decltype(state.pending)>();
    state.statistics = Statistics::from_json(json.at("statistics"));
  } catch (const nlohmann::json::exception& error) {
    throw CheckpointError("data state", fmt::format("cannot be read: {}", error.what()));
  }
  if (state.epoch < 0 || state.position < 0) throw CheckpointError("data state", "holds a negative position");
  return state;
}

Microbatches::Microbatches(std::shared_ptr<const RowReader> reader, PackOptions options, Source source,
                           const StreamState& state)
    : reader_(std::move(reader)),
      options_(options),
      source_(std::move(source)),
      packer_(options.packed_sequence_size, options.packing, options.window),
      epoch_(state.epoch),
      position_(state.position),
      epoch_packs_(state.epoch_packs),
      statistics_(state.statistics) {
  restore_pending(state);
}

void Microbatches::restore_pending(const StreamState& state) {
  int64_t at = -1;
  ReadRow row;
  for (const auto& [position, piece] : state.pending) {
    if (position != at) row = reader_->read(epoch_, at = position);
    if (row.error) std::rethrow_exception(row.error);
    for (const auto& document : row.documents)
      if (document.piece == piece) packer_.add(document);
    if (piece < 0 || piece >= static_cast<int64_t>(row.documents.size()))
      throw CheckpointError("data state",
                            fmt::format("document {} of the row at position {} is not there", piece, position),
                            "the data set has changed since the checkpoint");
  }
}

StreamState Microbatches::state() const {
  StreamState state{epoch_, position_, epoch_packs_, {}, statistics_};
  for (const auto& document : packer_.pending()) state.pending.emplace_back(document.position, document.piece);
  return state;
}

void Microbatches::read_row() {
  if (!begun_) source_.begin(epoch_, position_);
  begun_ = true;
  ReadRow row = source_.take();
  if (row.error) std::rethrow_exception(row.error);
  if (!row.exists) {
    ended_ = true;
    return;
  }
  ++position_;
  statistics_ += row.counts;
  for (auto& document : row.documents) packer_.add(std::move(document));
}

// Why an epoch gave nothing though it has rows.
static DataError nothing_left(int64_t rows, const Statistics& counts, int64_t limit) {
  std::vector<std::string> reasons;
  std::string hint = "`automodel data CONFIG.yaml` shows what becomes of them";
  if (counts.bad_rows > 0) reasons.push_back(fmt::format("{} cannot be read as samples", counts.bad_rows));
  if (counts.untrained_rows > 0)
    reasons.push_back(counted(counts.untrained_rows, "has nothing to train", "have nothing to train"));
  if (counts.dropped_documents > 0) {
    reasons.push_back(fmt::format("{} longer than {}, or {} nothing to train within them",
                                  counted(counts.dropped_documents, "is", "are"), counted(limit, "token"),
                                  noun_for(counts.dropped_documents, "has", "have")));
    hint = "raise dataset.seq_length, or packed_sequence.packed_sequence_size where samples are packed";
  }
  return {"dataset",
          fmt::format("none of its {} can be used{}{}", counted(rows, "row"), reasons.empty() ? "" : ": ",
                      join(reasons, ", ")),
          hint};
}

void Microbatches::end_epoch() {
  if (epoch_packs_ == 0) {
    if (position_ == 0) throw DataError("dataset", "has no rows");
    throw nothing_left(position_, statistics_, reader_->options().max_tokens);
  }
  while (packer_.ready(true)) {  // only when max_packs ended the epoch
    for (const auto& document : packer_.take()) {
      ++statistics_.dropped_documents;
      statistics_.dropped_tokens += document.sample.tokens();
    }
  }
  ++epoch_;
  position_ = epoch_packs_ = 0;
  begun_ = ended_ = false;
}

bool Microbatches::at_epoch_end() {
  if (options_.max_packs > 0 && epoch_packs_ >= options_.max_packs) return true;
  while (!packer_.ready(ended_)) {
    if (ended_) return true;
    read_row();
  }
  return false;
}

std::vector<Document> Microbatches::next() {
  std::vector<Document> microbatch;
  int64_t packs = 0;
  while (packs < options_.local_batch_size && !at_epoch_end()) {
    for (auto& document : packer_.take()) {
      ++statistics_.documents;
      statistics_.tokens_out += document.sample.tokens();
      statistics_.trained_tokens += document.sample.trained_tokens();
      if (document.source >= 0) {
        statistics_.of_source(document.source).tokens_out += document.sample.tokens();
        statistics_.of_source(document.source).trained_tokens += document.sample.trained_tokens();
      }
      microbatch.push_back(std::move(document));
    }
    ++packs, ++epoch_packs_;
    ++statistics_.packs;
    statistics_.pack_room += options_.packed_sequence_size;
  }
  if (microbatch.empty()) end_epoch();
  return microbatch;
}

}  // namespace automodel::data
