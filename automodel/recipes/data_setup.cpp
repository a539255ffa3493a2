#include "automodel/recipes/data_setup.h"

#include <algorithm>
#include <filesystem>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/data/mixture.h"
#include "automodel/data/token_cache.h"
#include "automodel/net/resolve.h"
#include "automodel/recipes/data_kinds.h"
#include "automodel/recipes/token_data.h"

namespace automodel::recipes {

namespace {

data::EdgeTokens edges_of(const std::optional<config::TokenizerSection>& own,
                          const std::optional<config::TokenizerSection>& run) {
  const auto& section = own ? own : run;
  return section ? data::EdgeTokens{section->add_bos_token, section->add_eos_token} : data::EdgeTokens{};
}

/// The section of one source of a mixture: what it does not say is the data set's.
config::DatasetSection section_of(const config::DatasetSection& section, const config::SourceSection& source) {
  config::DatasetSection own = section;
  own.sources.clear();
  own.path = source.path;
  own.name = source.name;
  own.revision = source.revision;
  own.limit = source.limit;
  if (!source.kind.empty()) own.kind = source.kind;
  if (source.split) own.split = *source.split;
  if (source.column_mapping) own.column_mapping = *source.column_mapping;
  return own;
}

data::SourceReadOptions faults_of(const config::DatasetSection& section) {
  data::SourceReadOptions faults{join(section.path, "+")};
  if (section.skip_invalid_samples) faults.bad_rows = faults.untrained_rows = data::OnFault::Skip;
  if (find_data_kind(section.kind).leaves_untrained || section.filter_no_assistant)
    faults.untrained_rows = data::OnFault::Skip;
  return faults;
}

data::Packing packing_of(const std::string& strategy) {
  if (strategy == "thd") return data::Packing::FirstFit;
  if (strategy == "neat") return data::Packing::BestFit;
  AM_CHECK(strategy == "sequential", "packing_strategy {} passed the check", strategy);
  return data::Packing::Sequential;
}

data::LoaderOptions loader_options(const config::RecipeConfig& config, const config::DatasetSection& section,
                                   int64_t max_positions, int64_t vocab) {
  data::LoaderOptions options;
  const auto& packed = config.packed_sequence;
  options.pack.local_batch_size = config.step_scheduler.local_batch_size;
  options.pack.packed_sequence_size = packed.packed_sequence_size;
  options.pack.packing = packing_of(packed.packing_strategy);
  options.pack.window = packed.packing_window;
  options.pack.max_packs = packed.max_packs.value_or(0);

  const auto& kind = find_data_kind(section.kind);
  int64_t limit = 0;
  if (limits_rows(section)) {
    // What is made to a length is not cut to the model's: sample_length.h tells the user.
    limit = section.seq_length ? *section.seq_length - kind.targets_only : kind.own_length ? 0 : max_positions;
    if (section.seq_length && limit < 1) throw ConfigError("dataset.seq_length", "is too short to leave a token");
  }
  if (packed.packed_sequence_size > 0)
    limit = limit > 0 ? std::min(limit, packed.packed_sequence_size) : packed.packed_sequence_size;
  options.read.max_tokens = limit;
  options.read.over_long = packed.drop_long_samples || section.filter_overlong
                               ? data::OverLong::Drop
                               : data::parse_over_long(section.overlong);
  options.read.vocab_size = vocab;
  options.read.seed = static_cast<uint64_t>(config.seed);
  const auto faults = faults_of(section);
  options.read.bad_rows = faults.bad_rows;
  options.read.untrained_rows = faults.untrained_rows;
  return options;
}

std::filesystem::path tokenizer_folder(const config::RecipeConfig& config, const config::DatasetSection& section) {
  const bool own = section.tokenizer && !section.tokenizer->path.empty(),
             of_run = config.tokenizer && !config.tokenizer->path.empty();
  const auto& name = own ? section.tokenizer->path : of_run ? config.tokenizer->path : config.model.path;
  return net::resolve_model(name, "", net::ModelFiles::Tokenizer, config.model.cache_dir);
}

// A data set's own tokenizer, else the run's; none where its samples need none.
TokenizerPtr own_tokenizer(const config::DatasetSection& section, TokenizerPtr of_run) {
  if (!needs_tokenizer(section)) return nullptr;
  if (!section.tokenizer || section.tokenizer->path.empty()) return of_run;
  return tokenizer::load(net::resolve_model(section.tokenizer->path, "", net::ModelFiles::Tokenizer));
}

/// Rows, builder and options of a section or of all its sources.
OpenedData open_section(const config::RecipeConfig& config, const config::DatasetSection& section, bool training,
                        TokenizerPtr tokenizer, int64_t max_positions, int64_t vocab) {
  OpenedData data;
  data.options = loader_options(config, section, max_positions, vocab);
  if (is_token_data(section.kind)) return data;  // open_token_data does the rest
  std::vector<config::DatasetSection> parts;
  for (const auto& source : section.sources) parts.push_back(section_of(section, source));
  if (parts.empty()) parts.push_back(section);
  std::vector<data::MixtureSource> sources;
  std::vector<std::shared_ptr<const data::SampleBuilder>> builders;
  std::vector<std::string> names;
  std::string cache;
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto& kind = find_data_kind(parts[i].kind);
    if (kind.is_tokens())
      throw UnsupportedError("dataset.sources", fmt::format("'{}' cannot be a source of a mixture", kind.name));
    const auto edges = edges_of(parts[i].tokenizer, config.tokenizer);
    auto rows = kind.open_rows(parts[i]);
    if (section.sources.empty() && !rows->has(0))
      throw DataError(training ? "dataset" : "validation_dataset",
                      fmt::format("{} has no rows", parts[i].path.empty() ? kind.name : join(parts[i].path, "+")),
                      "is the file empty, or the split or limit too small?");
    if (training && kind.begins_again && parts[i].repeat_on_exhaustion && section.sources.empty())
      rows = data::repeat_rows(std::move(rows));
    builders.push_back(kind.make_builder(parts[i], own_tokenizer(parts[i], tokenizer), edges));
    names.push_back(parts[i].path.empty() ? std::string(kind.name) : join(parts[i].path, "+"));
    if (!section.tokenized_cache.empty())
      cache += describe_samples(parts[i], edges, tokenizer_folder(config, parts[i]));
    if (section.sources.empty()) {
      data.rows = std::move(rows);
      data.builder = builders[0];
    } else {
      sources.push_back({names[i], std::move(rows), section.sources[i].weight, section.sources[i].epochs});
      data.options.read.sources.push_back(faults_of(parts[i]));
    }
  }
  if (!sources.empty()) {
    data.rows = std::make_shared<data::Mixture>(std::move(sources));
    data.builder = std::make_shared<data::MixtureBuilder>(std::move(names), std::move(builders));
  }
  if (data.rows->endless() && !config.step_scheduler.max_steps)
    throw ConfigError("step_scheduler.max_steps", "is not set, but the data set begins again when it is exhausted",
                      "set it, or dataset.repeat_on_exhaustion: false");
  if (!section.tokenized_cache.empty())
    data.options.read.cache = std::make_shared<data::TokenCache>(section.tokenized_cache, data::hash_text(cache));
  return data;
}

}  // namespace

bool needs_tokenizer(const config::RecipeConfig& config) {
  bool needed = needs_tokenizer(config.dataset);
  for (const auto& set : config.validation_sets) needed = needed || needs_tokenizer(set.dataset);
  return needed;
}

OpenedData open_training_data(const config::RecipeConfig& config, TokenizerPtr tokenizer, int64_t max_positions,
                              int64_t vocab) {
  const auto& section = config.dataset;
  auto data = open_section(config, section, true, tokenizer, max_positions, vocab);
  data.options.read.shuffle = config.dataloader.shuffle.value_or(true);
  data.options.threads = std::max<int64_t>(1, config.dataloader.num_workers);
  if (is_token_data(section.kind))
    open_token_data(config, section, DataUse::Training, own_tokenizer(section, tokenizer), data);
  return data;
}

OpenedData open_validation_data(const config::RecipeConfig& config, const config::ValidationSet& set,
                                TokenizerPtr tokenizer, int64_t max_positions, int64_t vocab) {
  const auto& section = set.dataset;
  auto data = open_section(config, section, false, tokenizer, max_positions, vocab);
  data.options.read.shuffle = config.validation_dataloader.shuffle.value_or(false);
  data.options.epochs = 1;
  data.options.threads = std::max<int64_t>(1, config.validation_dataloader.num_workers);
  if (config.validation_dataloader.batch_size)
    data.options.pack.local_batch_size = *config.validation_dataloader.batch_size;
  else if (section.batch_size)
    data.options.pack.local_batch_size = *section.batch_size;
  if (is_token_data(section.kind))
    open_token_data(config, section, DataUse::Validation, own_tokenizer(section, tokenizer), data);
  return data;
}

std::unique_ptr<data::Loader> make_loader(const OpenedData& data) {
  return std::make_unique<data::Loader>(data.rows, data.builder, data.options);
}

std::vector<ValidationLoader> make_validation_loaders(const config::RecipeConfig& config, TokenizerPtr tokenizer,
                                                      int64_t max_positions, int64_t vocab) {
  std::vector<ValidationLoader> loaders;
  for (const auto& set : config.validation_sets)
    loaders.push_back({set.name, make_loader(open_validation_data(config, set, tokenizer, max_positions, vocab))});
  return loaders;
}

}  // namespace automodel::recipes
