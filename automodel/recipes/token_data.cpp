#include "automodel/recipes/token_data.h"

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/data/megatron_dataset.h"
#include "automodel/data/nanogpt_dataset.h"

namespace automodel::recipes {

static constexpr int64_t kMegatronSeed = 1234, kValidationInterval = 1000;

static std::optional<int64_t> samples_of_run(const config::RecipeConfig& config) {
  const auto& steps = config.step_scheduler;
  return steps.max_steps ? std::optional(*steps.max_steps * steps.global_batch_size) : std::nullopt;
}

static size_t part_of(const config::DatasetSection& section, DataUse use) {
  if (section.splits_to_build.empty()) return use == DataUse::Training ? 0 : 1;
  return section.splits_to_build == "train" ? 0 : section.splits_to_build == "validation" ? 1 : 2;
}

static std::optional<int64_t> megatron_samples(const config::RecipeConfig& config,
                                               const config::DatasetSection& section, size_t part) {
  const auto run = samples_of_run(config);
  const auto& train = section.num_train_samples;
  if (run && train && *train < *run)
    throw ConfigError("dataset.num_train_samples",
                      fmt::format("is {}, but max_steps * global_batch_size takes {}", *train, *run));
  const auto drawn = train ? train : run;
  if (part == 0) return drawn;
  if (part == 2) return section.num_test_samples;
  if (section.num_val_samples || !drawn) return section.num_val_samples;
  const int64_t batch = config.step_scheduler.global_batch_size, steps = *drawn / batch;
  const int64_t validations = steps / config.step_scheduler.val_every_steps.value_or(kValidationInterval);
  if (validations == 0)
    throw ConfigError("validation_dataset.num_val_samples",
                      fmt::format("is not set, and {} steps hold no validation to count samples for", steps),
                      "set it to the number of samples to validate on");
  return validations * batch;
}

static std::string tokenizer_name(const config::RecipeConfig& config, const config::DatasetSection& section) {
  if (section.tokenizer && !section.tokenizer->path.empty()) return section.tokenizer->path;
  return config.tokenizer && !config.tokenizer->path.empty() ? config.tokenizer->path : config.model.path;
}

static void open_megatron_set(const config::RecipeConfig& config, const config::DatasetSection& section, DataUse use,
                              const std::shared_ptr<const tokenizer::Tokenizer>& tokenizer, OpenedData& data) {
  data::MegatronOptions options;
  options.paths = data::parse_megatron_paths(section.paths);
  options.split = section.split;
  options.part = part_of(section, use);
  options.samples = megatron_samples(config, section, options.part);
  options.sequence_length = *asked_length(section);
  options.seed = section.seed.value_or(kMegatronSeed);
  options.extra_token = section.add_extra_token;
  options.cache_folder = section.index_mapping_dir;
  options.tokenizer = tokenizer_name(config, section);
  const auto windows = data::open_megatron(options);
  data::WindowLabels labels;
  labels.extra_token = section.add_extra_token;
  labels.split_documents = section.reset_attention_mask;
  labels.mask_end_of_document = section.eod_mask_loss;
  if (tokenizer && (labels.split_documents || labels.mask_end_of_document)) labels.end_of_document = tokenizer->eos_id;
  data.rows = data::window_rows(windows);
  data.builder = std::make_shared<data::WindowBuilder>(windows, labels);
  if (use == DataUse::Training && config.dataloader.shuffle.value_or(false))
    log_info("dataloader.shuffle has no effect: Megatron's data sets have their own order");
}

static void open_nanogpt_set(const config::RecipeConfig& config, const config::DatasetSection& section, DataUse use,
                             OpenedData& data) {
  data::NanogptOptions options;
  options.files = section.file_pattern;
  options.seq_len = section.seq_len;
  options.shuffle_files = section.shuffle_files;
  options.align_to_bos = section.align_to_bos;
  options.bos_token = section.bos_token;
  if (use == DataUse::Training) options.samples = samples_of_run(config);
  options.seed = static_cast<uint64_t>(config.seed);
  const auto windows = data::open_nanogpt(options);
  data.rows = data::window_rows(windows);
  data.builder = std::make_shared<data::WindowBuilder>(windows, data::WindowLabels{});
}

void open_token_data(const config::RecipeConfig& config, const config::DatasetSection& section, DataUse use,
                     const std::shared_ptr<const tokenizer::Tokenizer>& tokenizer, OpenedData& data) {
  const bool megatron = section.kind == "megatron";
  if (megatron)
    open_megatron_set(config, section, use, tokenizer, data);
  else
    open_nanogpt_set(config, section, use, data);
  const int64_t pack = config.packed_sequence.packed_sequence_size;
  // A pack holds several samples, so with packing the rows end before max_steps.
  data.options.rows_are_run = use == DataUse::Training && config.step_scheduler.max_steps && pack == 0;
  data.options.read.max_tokens = pack > 0 ? std::min(*asked_length(section), pack) : 0;
  data.options.read.shuffle = !megatron && use == DataUse::Training && config.dataloader.shuffle.value_or(false);
}

}  // namespace automodel::recipes
