#include "automodel/recipes/data_setup.h"

#include "automodel/base/error.h"
#include "automodel/data/chat.h"
#include "automodel/data/hellaswag.h"
#include "automodel/data/mock.h"
#include "automodel/data/mock_packed.h"
#include "automodel/data/prompt_answer.h"
#include "automodel/data/squad.h"
#include "automodel/net/resolve.h"
#include "automodel/recipes/token_data.h"

namespace automodel::recipes {

namespace {

using TokenizerPtr = std::shared_ptr<const tokenizer::Tokenizer>;

data::EdgeTokens edges_of(const std::optional<config::TokenizerSection>& own,
                          const std::optional<config::TokenizerSection>& run) {
  const auto& section = own ? own : run;
  return section ? data::EdgeTokens{section->add_bos_token, section->add_eos_token} : data::EdgeTokens{};
}

data::ChatOptions chat_options(const config::DatasetSection& section) {
  data::ChatOptions options;
  options.chat_template = section.chat_template;
  options.train_on = section.mask_history ? data::TrainOn::LastTurn : data::TrainOn::AllTurns;
  options.mask_reasoning_content = section.mask_reasoning_content;
  return options;
}

std::shared_ptr<const data::SampleBuilder> make_builder(const config::DatasetSection& section, TokenizerPtr tokenizer,
                                                        const data::EdgeTokens& edges) {
  if (section.kind == "mock")
    return std::make_shared<data::MockBuilder>(section.seq_len, section.vocab_size,
                                               static_cast<uint64_t>(section.seed.value_or(42)));
  if (section.kind == "mock_packed") {
    data::MockPackedOptions options{section.num_blocks,      section.block_size, section.mean_len,
                                    section.std_len,         section.vocab_size, section.max_sentence_len,
                                    section.seed.value_or(0)};
    return std::make_shared<data::MockPackedBuilder>(options);
  }
  if (section.kind == "chat") return std::make_shared<data::ChatBuilder>(tokenizer, chat_options(section));
  if (section.kind == "squad")
    return std::make_shared<data::SquadBuilder>(tokenizer, data::SquadOptions{chat_options(section), edges});
  if (section.kind == "hellaswag") return std::make_shared<data::HellaSwagBuilder>(tokenizer, edges);
  if (section.kind == "column_mapped") {
    const auto& columns = section.column_mapping;
    return std::make_shared<data::PromptAnswerBuilder>(
        tokenizer,
        data::PromptAnswerOptions{columns.context, columns.question, columns.answer, section.answer_only_loss_mask,
                                  section.use_hf_chat_template, chat_options(section), edges});
  }
  throw UnsupportedError("dataset._target_", fmt::format("'{}' is not a kind of data set of this build", section.kind));
}

std::shared_ptr<data::Rows> open_section_rows(const config::DatasetSection& section) {
  if (section.kind == "mock") return data::mock_rows(section.num_samples);
  if (section.kind == "mock_packed") return data::mock_rows(section.num_blocks);
  data::RowsOptions options;
  options.paths = section.path;
  options.split = section.split;
  options.limit = section.limit.value_or(-1);
  if (section.shuffle_seed) options.shuffle_seed = static_cast<uint64_t>(*section.shuffle_seed);
  return data::open_rows(options);
}

data::LoaderOptions loader_options(const config::RecipeConfig& config, const config::DatasetSection& section,
                                   int64_t max_positions, int64_t vocab) {
  data::LoaderOptions options;
  const auto& packed = config.packed_sequence;
  options.pack.local_batch_size = config.step_scheduler.local_batch_size;
  options.pack.packed_sequence_size = packed.packed_sequence_size;
  options.pack.packing = packed.packing_strategy == "neat" ? data::Packing::BestFit : data::Packing::FirstFit;
  options.pack.max_packs = packed.max_packs.value_or(0);

  const bool cuts = section.truncation != "false" && section.truncation != "do_not_truncate";
  // NeMo AutoModel cuts to seq_length tokens before it shifts; the last of them is only a target (but in HellaSwag's
  // rows).
  const int64_t shifted = section.kind == "hellaswag" ? 0 : 1;
  int64_t limit = section.seq_length && cuts ? *section.seq_length - shifted : 0;
  if (limit == 0 && cuts) limit = max_positions;
  if (packed.packed_sequence_size > 0)
    limit = limit > 0 ? std::min(limit, packed.packed_sequence_size) : packed.packed_sequence_size;
  options.read.max_tokens = limit;
  options.read.over_long = packed.drop_long_samples ? data::OverLong::Drop : data::parse_over_long(section.overlong);
  options.read.vocab_size = vocab;
  options.read.seed = static_cast<uint64_t>(config.seed);
  if (section.skip_invalid_samples) options.read.bad_rows = options.read.untrained_rows = data::OnFault::Skip;
  if (section.kind == "column_mapped")
    options.read.untrained_rows = data::OnFault::Skip;  // NeMo AutoModel's rule; they are counted
  return options;
}

TokenizerPtr tokenizer_of(const config::DatasetSection& section, TokenizerPtr of_run) {
  if (!section.tokenizer || section.tokenizer->path.empty()) return of_run;
  return tokenizer::load(net::resolve_model(section.tokenizer->path, "", net::ModelFiles::Tokenizer));
}

}  // namespace

OpenedData open_training_data(const config::RecipeConfig& config, TokenizerPtr tokenizer, int64_t max_positions,
                              int64_t vocab) {
  OpenedData data;
  const auto& section = config.dataset;
  data.options = loader_options(config, section, max_positions, vocab);
  data.options.read.shuffle = config.dataloader.shuffle;
  data.options.threads = std::max<int64_t>(1, config.dataloader.num_workers);
  const auto own = needs_tokenizer(section) ? tokenizer_of(section, tokenizer) : nullptr;
  if (is_token_data(section.kind)) {
    open_token_data(config, section, DataUse::Training, own, max_positions, data);
    return data;
  }
  data.rows = open_section_rows(section);
  data.builder = make_builder(section, own, edges_of(section.tokenizer, config.tokenizer));
  return data;
}

OpenedData open_validation_data(const config::RecipeConfig& config, const config::ValidationSet& set,
                                TokenizerPtr tokenizer, int64_t max_positions, int64_t vocab) {
  OpenedData data;
  data.options = loader_options(config, set.dataset, max_positions, vocab);
  data.options.read.shuffle = false;
  data.options.epochs = 1;
  data.options.threads = std::max<int64_t>(1, config.validation_dataloader.num_workers);
  if (config.validation_dataloader.batch_size)
    data.options.pack.local_batch_size = *config.validation_dataloader.batch_size;
  const auto own = needs_tokenizer(set.dataset) ? tokenizer_of(set.dataset, tokenizer) : nullptr;
  if (is_token_data(set.dataset.kind)) {
    open_token_data(config, set.dataset, DataUse::Validation, own, max_positions, data);
    return data;
  }
  data.rows = open_section_rows(set.dataset);
  data.builder = make_builder(set.dataset, own, edges_of(set.dataset.tokenizer, config.tokenizer));
  return data;
}

bool needs_tokenizer(const config::RecipeConfig& config) {
  bool needed = needs_tokenizer(config.dataset);
  for (const auto& set : config.validation_sets) needed = needed || needs_tokenizer(set.dataset);
  return needed;
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
