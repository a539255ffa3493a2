#include "automodel/data/megatron_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/data/megatron_cache.h"
#include "automodel/data/megatron_md5.h"

namespace automodel::data {
namespace fs = std::filesystem;
namespace {

template <class T>
T value_at(const char* values, size_t index) {
  T value;
  std::memcpy(&value, values + index * sizeof(T), sizeof(T));
  return value;
}

// An index that was made here, or lies in a file.
template <class T>
class Index {
 public:
  Index() = default;
  explicit Index(std::vector<T> made) : made_(std::move(made)) {}
  explicit Index(std::unique_ptr<NpyFile> file) : file_(std::move(file)) {}
  T operator[](size_t i) const { return file_ ? value_at<T>(file_->values(), i) : made_[i]; }

 private:
  std::vector<T> made_;
  std::unique_ptr<NpyFile> file_;
};

// A cached order: the files of one description, in one folder.
class Cache {
 public:
  Cache(std::string folder, bool asked, const std::string& kind, size_t part, const Json& description)
      : folder_(std::move(folder)), asked_(asked), text_(indented_python_json(description)) {
    stem_ = fmt::format("{}-{}-{}-", md5(text_), kind, kMegatronSplits[part]);
  }
  fs::path file(const std::string& name) const { return fs::path(folder_) / (stem_ + name); }
  bool has(const std::vector<std::string>& names) const {
    if (folder_.empty() || !fs::exists(file("description.txt"))) return false;
    return std::all_of(names.begin(), names.end(), [&](const auto& name) { return fs::exists(file(name)); });
  }
  // The description comes last: only with it is an order whole. A folder that nobody asked for may be read-only.
  template <class F>
  void save(const F& write) const {
    if (folder_.empty()) return;
    try {
      make_folders(folder_);
      write();
      write_file_atomically(file("description.txt"), text_);
    } catch (const SystemError& error) {
      if (asked_) throw;
      log_warning(fmt::format("the order of the samples cannot be kept for the next start: {}", error.what()));
    }
  }

 private:
  std::string folder_;
  bool asked_;
  std::string text_, stem_;
};

Json share_json(const std::optional<SplitShare>& share) {
  if (!share) return nullptr;
  return share->from_zero ? Json::array({0, share->to}) : Json::array({share->from, share->to});
}

class GptSamples : public TokenWindows {
 public:
  GptSamples(const std::string& prefix, std::optional<int64_t> samples, const MegatronOptions& options)
      : file_(prefix), window_(options.sequence_length + (options.extra_token ? 1 : 0)) {
    request_.sequence_length = options.sequence_length;
    request_.samples = samples;
    request_.seed = static_cast<uint32_t>(options.seed);
    request_.extra_token = options.extra_token;
    Json split = nullptr, matrix = nullptr;
    request_.last = file_.sequences();
    if (options.paths.all) {
      const auto shares = parse_shares(options.split);
      split = options.split;
      matrix = Json::array();
      for (const auto& share : shares) matrix.push_back(share_json(share));
      const auto& mine = shares[options.part];
      if (!mine) throw ConfigError("dataset.split", fmt::format("'{}' leaves nothing for this split", options.split));
      const auto count = static_cast<double>(file_.sequences());
      request_.first = static_cast<int64_t>(std::nearbyint(mine->from * count));  // halves to even, as Python rounds
      request_.last = std::min(static_cast<int64_t>(std::nearbyint(mine->to * count)), file_.sequences());
    }
    if (request_.first >= request_.last)
      throw DataError(file_.prefix(), fmt::format("has {} sequences, of which none falls to the {} split",
                                                  file_.sequences(), kMegatronSplits[options.part]));
    description_ = {{"class", "GPTDataset"},
                    {"dataset_path", prefix},
                    {"num_samples", samples ? Json(*samples) : Json()},
                    {"index_split", kMegatronSplits[options.part]},
                    {"tokenizer", options.tokenizer},
                    {"random_seed", options.seed},
                    {"sequence_length", options.sequence_length},
                    {"split", split},
                    {"split_matrix", matrix}};
    if (!options.extra_token) description_["add_extra_token_to_sequence"] = false;  // NeMo AutoModel never sets it
    open_order(options);
  }

  int64_t size() const override {
    return request_.samples ? std::min(*request_.samples, plan_.samples) : plan_.samples;
  }
  const Json& description() const { return description_; }

  std::string place(int64_t sample) const override {
    const std::string place = fmt::format("{}: sample {}", file_.prefix(), sample);
    const auto at = int64_t{shuffle_[static_cast<size_t>(sample)]};
    if (at >= plan_.samples) return place;  // a damaged order, as read() says
    const int64_t first = samples_[2 * static_cast<size_t>(at)], begin = samples_[2 * static_cast<size_t>(at) + 1];
    if (first < 0 || first >= plan_.epochs * (request_.last - request_.first)) return place;
    return fmt::format("{}, from token {} of sequence {}", place, begin, documents_[static_cast<size_t>(first)]);
  }
  std::string order() const override {
    return fmt::format("{} sequences {} to {}, {} tokens, {}{}, {} a sample, seed {}", file_.prefix(), request_.first,
                       request_.last, plan_.tokens, counted(plan_.epochs, "epoch"),
                       plan_.last_apart ? ", last apart" : "", window_, request_.seed);
  }

  void read(int64_t sample, std::vector<int32_t>& tokens) const override {
    AM_CHECK(sample >= 0 && sample < size(), "sample {} of {}", sample, size());
    const auto at = size_t{shuffle_[static_cast<size_t>(sample)]};
    if (static_cast<int64_t>(at) >= plan_.samples) fail(sample);
    const int64_t first = samples_[2 * at], last = samples_[2 * at + 2];
    const int64_t begin = samples_[2 * at + 1], end = samples_[2 * at + 3] + (request_.extra_token ? 1 : 0);
    const int64_t documents = plan_.epochs * (request_.last - request_.first);
    if (first < 0 || first > last || last >= documents || last - first > documents) fail(sample);
    const size_t before = tokens.size();
    for (int64_t i = first; i <= last; ++i) {
      const int64_t sequence = documents_[static_cast<size_t>(i)];
      if (sequence < request_.first || sequence >= request_.last) fail(sample);
      const int64_t from = i == first ? begin : 0, to = i == last ? end : file_.length(sequence);
      file_.read(sequence, from, to - from, tokens);
      if (static_cast<int64_t>(tokens.size() - before) > window_) fail(sample);
    }
    if (static_cast<int64_t>(tokens.size() - before) != window_) fail(sample);
  }

 private:
  [[noreturn]] void fail(int64_t sample) const {
    throw DataError(fmt::format("{}: sample {}", file_.prefix(), sample), "the cached order does not fit these files",
                    "delete the cached order: it is made again");
  }

  void open_order(const MegatronOptions& options) {
    const std::string folder = options.cache_folder.empty()
                                   ? (fs::path(file_.prefix()) / "cache" / "GPTDataset_indices").string()
                                   : options.cache_folder;
    const Cache cache(folder, !options.cache_folder.empty(), "GPTDataset", options.part, description_);
    const auto lengths = sequence_lengths(file_, request_);
    plan_ = plan_epochs(lengths, request_, file_.prefix());
    const NpyShape documents{"<i4", 4, {plan_.epochs * (request_.last - request_.first)}};
    const NpyShape samples{"<i4", 4, {plan_.samples + 1, 2}}, shuffle{"<u4", 4, {plan_.samples}};
    if (cache.has({"document_index.npy", "sample_index.npy", "shuffle_index.npy"})) {
      documents_ = Index<int32_t>(std::make_unique<NpyFile>(cache.file("document_index.npy"), documents));
      samples_ = Index<int32_t>(std::make_unique<NpyFile>(cache.file("sample_index.npy"), samples));
      shuffle_ = Index<uint32_t>(std::make_unique<NpyFile>(cache.file("shuffle_index.npy"), shuffle));
      return;
    }
    auto order = build_order(lengths, request_, plan_);
    cache.save([&] {
      write_npy(cache.file("document_index.npy"), documents, order.documents.data());
      write_npy(cache.file("sample_index.npy"), samples, order.samples.data());
      write_npy(cache.file("shuffle_index.npy"), shuffle, order.shuffle.data());
    });
    documents_ = Index<int32_t>(std::move(order.documents));
    samples_ = Index<int32_t>(std::move(order.samples));
    shuffle_ = Index<uint32_t>(std::move(order.shuffle));
  }

  MegatronFile file_;
  int64_t window_;
  OrderRequest request_;
  Json description_;
  EpochPlan plan_;
  Index<int32_t> documents_, samples_;
  Index<uint32_t> shuffle_;
};

class BlendedSamples : public TokenWindows {
 public:
  /// `size` not set: all that the sets have.
  BlendedSamples(std::vector<std::unique_ptr<GptSamples>> sets, std::vector<double> weights,
                 std::optional<int64_t> size, const MegatronOptions& options)
      : sets_(std::move(sets)), weights_(size ? normalize_weights(weights) : std::move(weights)) {
    Json description = {
        {"class", "BlendedDataset"}, {"datasets", Json::array()},           {"split", kMegatronSplits[options.part]},
        {"weights", Json::array()},  {"size", size ? Json(*size) : Json()}, {"tokenizer", options.tokenizer}};
    for (const auto& set : sets_) description["datasets"].push_back(set->description());
    for (const double weight : weights_)
      description["weights"].push_back(size ? Json(weight) : Json(static_cast<int64_t>(weight)));
    int64_t all = 0;
    for (const auto& set : sets_) all += set->size();
    size_ = size.value_or(all);
    open_order(Cache(options.cache_folder, true, "BlendedDataset", options.part, description), !size);
  }

  int64_t size() const override { return size_; }
  std::string place(int64_t sample) const override {
    const auto set = static_cast<size_t>(set_[static_cast<size_t>(sample)]);
    const int64_t inner = sample_[static_cast<size_t>(sample)];
    if (set >= sets_.size() || inner < 0 || inner >= sets_[set]->size()) return fmt::format("blend: sample {}", sample);
    return sets_[set]->place(inner);
  }
  std::string order() const override {
    std::string text = "blend of";
    for (size_t i = 0; i < sets_.size(); ++i) text += fmt::format(" ({} x {})", weights_[i], sets_[i]->order());
    return text;
  }

  void read(int64_t sample, std::vector<int32_t>& tokens) const override {
    AM_CHECK(sample >= 0 && sample < size_, "sample {} of {}", sample, size_);
    const auto set = static_cast<size_t>(set_[static_cast<size_t>(sample)]);
    const int64_t inner = sample_[static_cast<size_t>(sample)];
    if (set >= sets_.size() || inner < 0 || inner >= sets_[set]->size())
      throw DataError(fmt::format("blend: sample {}", sample), "the cached order does not fit these sets",
                      "delete the cached order: it is made again");
    sets_[set]->read(inner, tokens);
  }

 private:
  void open_order(const Cache& cache, bool exhaustively) {
    const NpyShape set{"<i2", 2, {size_}}, sample{"<i8", 8, {size_}};
    if (cache.has({"dataset_index.npy", "dataset_sample_index.npy"})) {
      set_ = Index<int16_t>(std::make_unique<NpyFile>(cache.file("dataset_index.npy"), set));
      sample_ = Index<int64_t>(std::make_unique<NpyFile>(cache.file("dataset_sample_index.npy"), sample));
      return;
    }
    BlendIndices blend;
    if (exhaustively) {
      std::vector<int64_t> sizes;
      for (const auto& one : sets_) sizes.push_back(one->size());
      blend = blend_exhaustively(sizes);
    } else {
      blend = blend_by_weight(weights_, size_);
    }
    check_supply(blend);
    cache.save([&] {
      write_npy(cache.file("dataset_index.npy"), set, blend.set.data());
      write_npy(cache.file("dataset_sample_index.npy"), sample, blend.sample.data());
    });
    set_ = Index<int16_t>(std::move(blend.set));
    sample_ = Index<int64_t>(std::move(blend.sample));
  }

  void check_supply(const BlendIndices& blend) const {
    for (size_t i = 0; i < blend.set.size(); ++i) {
      const auto& set = *sets_[static_cast<size_t>(blend.set[i])];
      if (blend.sample[i] >= set.size())
        throw DataError("dataset.paths", fmt::format("the blend asks for more than the {} samples of one set ({})",
                                                     set.size(), set.order()));
    }
  }

  std::vector<std::unique_ptr<GptSamples>> sets_;
  std::vector<double> weights_;
  int64_t size_ = 0;
  Index<int16_t> set_;
  Index<int64_t> sample_;
};

// Samples to draw of a set of this weight, and to have in store: half a percent more.
int64_t share_of(int64_t samples, double weight, double surplus) {
  return static_cast<int64_t>(std::ceil(std::ceil(static_cast<double>(samples) * weight) * (1 + surplus)));
}

std::shared_ptr<const TokenWindows> open_blend(const MegatronBlend& blend, const MegatronOptions& options) {
  static constexpr double kSurplus = 0.005;
  static constexpr size_t kMostSets = 32766;
  if (blend.prefixes.size() > kMostSets) throw ConfigError("dataset.paths", "has more than 32766 sets");
  if (blend.weights && !options.samples)
    throw ConfigError("dataset.paths", "a blend with weights needs a number of samples",
                      "set step_scheduler.max_steps, or num_train_samples (num_val_samples, num_test_samples)");
  std::vector<std::unique_ptr<GptSamples>> sets;
  std::vector<double> weights;
  int64_t size = 0;
  if (blend.weights) {
    weights = normalize_weights(*blend.weights);
    for (size_t i = 0; i < weights.size(); ++i) {
      size += share_of(*options.samples, weights[i], 0);
      sets.push_back(
          std::make_unique<GptSamples>(blend.prefixes[i], share_of(*options.samples, weights[i], kSurplus), options));
    }
    return std::make_shared<BlendedSamples>(std::move(sets), std::move(weights), size, options);
  }
  for (const auto& prefix : blend.prefixes) {
    sets.push_back(std::make_unique<GptSamples>(prefix, std::nullopt, options));
    if (sets.back()->size() == 0)
      throw DataError(prefix, fmt::format("is too short for one sample of {} tokens", options.sequence_length));
    weights.push_back(static_cast<double>(sets.back()->size()));
    size += sets.back()->size();
  }
  const auto drawn = options.samples ? std::optional(std::min(*options.samples, size)) : std::nullopt;
  return std::make_shared<BlendedSamples>(std::move(sets), std::move(weights), drawn, options);
}

}  // namespace

std::shared_ptr<const TokenWindows> open_megatron(const MegatronOptions& options) {
  if (options.sequence_length < 1 || options.sequence_length > (1 << 30))
    throw ConfigError("dataset.seq_length", fmt::format("is {}, expected 1 to 2^30", options.sequence_length));
  if (options.seed < 0 || options.seed > UINT32_MAX)
    throw ConfigError("dataset.seed", fmt::format("is {}, expected 0 to 2^32 - 1", options.seed));
  if (options.samples && (*options.samples < 1 || *options.samples > INT32_MAX))
    throw ConfigError("dataset", fmt::format("{} samples are asked for, expected 1 to 2^31", *options.samples));
  const auto& blend = options.paths.all ? options.paths.all : options.paths.parts[options.part];
  if (!blend)
    throw ConfigError("dataset.paths", fmt::format("names nothing for the {} split", kMegatronSplits[options.part]));
  if (blend->prefixes.size() > 1) return open_blend(*blend, options);
  return std::make_shared<GptSamples>(blend->prefixes[0], options.samples, options);
}

}  // namespace automodel::data
