#include "automodel/data/loader.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"

namespace automodel::data {

static ReadOptions with_limit(LoaderOptions options) {  // a document must fit into a pack
  ReadOptions read = options.read;
  const int64_t pack = options.pack.packed_sequence_size;
  if (pack > 0 && (read.max_tokens == 0 || read.max_tokens > pack)) read.max_tokens = pack;
  return read;
}

Loader::Loader(std::shared_ptr<Rows> rows, std::shared_ptr<const SampleBuilder> builder, LoaderOptions options)
    : reader_(std::make_shared<RowReader>(std::move(rows), std::move(builder), with_limit(options))),
      options_(options) {
  AM_CHECK(0 <= options.rank && options.rank < options.ranks, "rank {} of {}", options.rank, options.ranks);
  if (options.pack.local_batch_size < 1)
    throw ConfigError("step_scheduler.local_batch_size",
                      fmt::format("is {}, expected at least 1", options.pack.local_batch_size));
  if (options.pack.packed_sequence_size < 0)
    throw ConfigError("packed_sequence.packed_sequence_size",
                      fmt::format("is {}, expected 0 or more", options.pack.packed_sequence_size));
  if (options.read.max_tokens < 0) throw ConfigError("dataset.seq_length", "is too short to leave a token");
}
Loader::~Loader() { stop(); }

// A sample of several documents is laid out as these.
static void append_documents(const Sample& sample, std::vector<std::vector<int32_t>>& ids,
                             std::vector<std::vector<int32_t>>& labels) {
  auto from = std::ptrdiff_t{0};
  const auto append = [&](std::ptrdiff_t to) {
    ids.emplace_back(sample.ids.begin() + from, sample.ids.begin() + to);
    labels.emplace_back(sample.labels.begin() + from, sample.labels.begin() + to);
    from = to;
  };
  for (const int32_t start : sample.starts)
    if (start < sample.tokens()) append(start);  // what follows a cut is gone
  append(sample.tokens());
}

/// One microbatch for each rank; of these, this rank's, and the state behind them all. Nothing at the epoch's end.
std::optional<Loader::Documents> Loader::take_own(Microbatches& microbatches, StreamState& after) const {
  std::optional<Documents> own;
  for (int64_t rank = 0; rank < options_.ranks && !microbatches.at_epoch_end(); ++rank) {
    auto documents = microbatches.next();
    if (!own) own.emplace();  // the ranks behind the last microbatch get none
    if (rank == options_.rank) own = std::move(documents);
  }
  if (!own) microbatches.next();
  after = microbatches.state();
  return own;
}

Loader::Made Loader::make_next(Microbatches& microbatches) const {
  Made made;
  try {
    if (const auto documents = take_own(microbatches, made.after)) {
      std::vector<std::vector<int32_t>> ids, labels;
      for (const auto& document : *documents) append_documents(document.sample, ids, labels);
      made.batch = make_batch(ids, labels);
    }
  } catch (...) {
    made.error = std::current_exception();
    made.after = microbatches.state();
  }
  return made;
}

void Loader::produce(StreamState state) {
  try {
    ReadAhead ahead(reader_, options_.threads, options_.read_ahead);
    const Microbatches::Source source{[&](int64_t epoch, int64_t position) { ahead.begin(epoch, position); },
                                      [&] { return ahead.take(); }};
    Microbatches microbatches(reader_, options_.pack, source, state);
    while (true) {
      Made made = make_next(microbatches);
      const bool last = made.error || (!made.batch && options_.epochs > 0 && made.after.epoch >= options_.epochs);
      std::unique_lock lock(mutex_);
      room_.wait(lock, [&] {
        return stopping_ || static_cast<int64_t>(queue_.size()) < std::max<int64_t>(options_.prefetch, 1);
      });
      if (stopping_) return;
      queue_.push_back(std::move(made));
      made_.notify_all();
      if (last) return;
    }
  } catch (...) {
    std::lock_guard lock(mutex_);
    queue_.push_back({std::nullopt, state, std::current_exception()});
    made_.notify_all();
  }
}

void Loader::start() {
  if (!thread_.joinable()) thread_ = std::thread([this, state = state_] { produce(state); });
}

void Loader::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  if (thread_.joinable()) thread_.join();
  thread_ = std::thread();
  stopping_ = false;
  queue_.clear();
}

Loader::Made& Loader::wait_for_next() {
  start();
  std::unique_lock lock(mutex_);
  made_.wait(lock, [&] { return !queue_.empty(); });
  return queue_.front();
}

std::optional<Batch> Loader::next() {
  if (options_.epochs > 0 && state_.epoch >= options_.epochs) return std::nullopt;
  Made& front = wait_for_next();
  if (front.error) std::rethrow_exception(front.error);  // it stays there: asking again says it again
  std::unique_lock lock(mutex_);
  Made made = std::move(front);
  queue_.pop_front();
  lock.unlock();
  room_.notify_one();
  state_ = std::move(made.after);
  return std::move(made.batch);
}

std::vector<Batch> Loader::next_group(int64_t count) {
  std::vector<Batch> group;
  before_group_ = state_;
  while (static_cast<int64_t>(group.size()) < count) {
    if (!group.empty() && at_epoch_end()) break;  // the end stays there for the next call
    auto batch = next();
    if (!batch) break;
    group.push_back(std::move(*batch));
  }
  return group;
}

bool Loader::at_epoch_end() {
  if (options_.epochs > 0 && state_.epoch >= options_.epochs) return true;
  if (options_.rows_are_run) return false;
  const Made& made = wait_for_next();
  return !made.error && !made.batch;
}

/// What must be the same for a position to mean the same.
Json Loader::fingerprint() const {
  const auto& read = reader_->options();
  const auto& pack = options_.pack;
  Json print = {{"local_batch_size", pack.local_batch_size},
                {"packed_sequence_size", pack.packed_sequence_size},
                {"packing", static_cast<int>(pack.packing)},
                {"window", pack.window},
                {"max_packs", pack.max_packs},
                {"shuffle", read.shuffle},
                {"seed", read.seed},
                {"max_tokens", read.max_tokens},
                {"over_long", static_cast<int>(read.over_long)},
                {"bad_rows", static_cast<int>(read.bad_rows)},
                {"untrained_rows", static_cast<int>(read.untrained_rows)}};
  if (!read.sources.empty()) print["sources"] = read.sources.size();
  if (read.shuffle) print["rows"] = reader_->rows().size();
  if (auto order = reader_->rows().order(); !order.empty()) print["order"] = order;
  return print;
}

Json Loader::state() const {
  Json json = state_.to_json();
  json["options"] = fingerprint();
  return json;
}

void Loader::restore(const Json& state) {
  const Json mine = fingerprint();
  if (!state.is_object() || !state.contains("options")) throw CheckpointError("data state", "is not a loader's");
  for (const auto& [key, value] : mine.items()) {
    const Json& saved = state["options"];
    if (!saved.contains(key) || saved[key] != value)
      throw CheckpointError("data state",
                            fmt::format("was saved with {} = {}, but is now {}", key,
                                        saved.contains(key) ? saved[key].dump() : "nothing", value.dump()),
                            key == "rows" || key == "order" ? "the data set has changed"
                                                            : "resume with the same data options, or start a new run");
  }
  stop();
  state_ = before_group_ = StreamState::from_json(state);
}

void Loader::step_back() {
  stop();
  state_ = before_group_;
}

std::string Loader::summary() const {
  std::vector<std::string> names;
  for (const auto& source : options_.read.sources) names.push_back(source.name);
  return state_.statistics.summary(names);
}

void Loader::rewind() {
  stop();
  state_ = before_group_ = StreamState();
}

std::optional<int64_t> Loader::microbatches_per_epoch() const {
  const auto& read = reader_->options();
  bool stops = read.bad_rows == OnFault::Stop && read.untrained_rows == OnFault::Stop;
  for (const auto& source : read.sources)
    stops = stops && source.bad_rows == OnFault::Stop && source.untrained_rows == OnFault::Stop;
  const bool certain = options_.pack.packed_sequence_size == 0 && stops && read.max_tokens == 0;
  if (!certain || reader_->rows().endless()) return std::nullopt;
  const int64_t rows = reader_->rows().size(),
                packs = options_.pack.max_packs > 0 ? std::min(rows, options_.pack.max_packs) : rows;
  return of_one_rank((packs + options_.pack.local_batch_size - 1) / options_.pack.local_batch_size);
}

int64_t Loader::count_microbatches(int64_t epoch) const {
  StreamState begin;
  begin.epoch = epoch;
  ReadAhead ahead(reader_, options_.threads, options_.read_ahead);
  const Microbatches::Source source{[&](int64_t epoch, int64_t position) { ahead.begin(epoch, position); },
                                    [&] { return ahead.take(); }};
  Microbatches microbatches(reader_, options_.pack, source, begin);
  int64_t count = 0;
  while (!microbatches.next().empty()) ++count;
  return of_one_rank(count);
}

EpochEstimate Loader::estimate_epoch(int64_t sample) const {
  EpochEstimate estimate;
  estimate.rows = reader_->rows().size();
  const int64_t read = estimate.rows_read = std::min(sample, estimate.rows);
  int64_t tokens = 0, trained = 0, documents = 0;
  for (int64_t i = 0; i < read; ++i) {
    const ReadRow row = reader_->read(0, i * estimate.rows / read);
    if (row.error) std::rethrow_exception(row.error);
    int64_t of_row = 0;
    for (const auto& document : row.documents) {
      ++documents;
      of_row += document.sample.tokens();
      tokens += document.sample.tokens();
      trained += document.sample.trained_tokens();
    }
    estimate.longest_row = std::max(estimate.longest_row, of_row);
  }
  if (tokens == 0) return estimate;
  estimate.tokens_per_row = static_cast<double>(tokens) / static_cast<double>(read);
  estimate.trained_share = static_cast<double>(trained) / static_cast<double>(tokens);
  const double scale = static_cast<double>(estimate.rows) / static_cast<double>(read);
  const int64_t size = options_.pack.packed_sequence_size;
  double packs = size > 0 ? scale * static_cast<double>(tokens) / static_cast<double>(size)
                          : scale * static_cast<double>(documents);
  if (options_.pack.max_packs > 0) packs = std::min(packs, static_cast<double>(options_.pack.max_packs));
  const auto all = static_cast<int64_t>(packs / static_cast<double>(options_.pack.local_batch_size) + 0.999999);
  estimate.microbatches = of_one_rank(std::max<int64_t>(1, all));
  return estimate;
}

}  // namespace automodel::data
