#include "automodel/recipes/data_setup.h"

#include <algorithm>
#include <filesystem>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/data/chat.h"
#include "automodel/data/hellaswag.h"
#include "automodel/data/mixture.h"
#include "automodel/data/mock.h"
#include "automodel/data/mock_packed.h"
#include "automodel/data/prompt_answer.h"
#include "automodel/data/split_slice.h"
#include "automodel/data/squad.h"
#include "automodel/data/tool_chat.h"
#include "automodel/net/resolve.h"
#include "automodel/recipes/hub_dataset.h"
#include "automodel/recipes/token_data.h"

namespace automodel::recipes {

namespace {

using TokenizerPtr = std::shared_ptr<const tokenizer::Tokenizer>;

data::EdgeTokens edges_of(const std::optional<config::TokenizerSection>& own,
                          const std::optional<config::TokenizerSection>& run) {
  const auto& section = own ? own : run;
  return section ? data::EdgeTokens{section->add_bos_token, section->add_eos_token} : data::EdgeTokens{};
}

data::TrainOn train_on(const config::DatasetSection& section) {
  if (section.mask_history || section.train_on_last_turn_only || section.train_on == "last_turn")
    return data::TrainOn::LastTurn;
  return section.train_on == "message_field" ? data::TrainOn::ByField : data::TrainOn::AllTurns;
}

data::ChatOptions chat_options(const config::DatasetSection& section) {
  return {.chat_template = section.chat_template,
          .train_on = train_on(section),
          .train_field = section.train_field,
          .mask_reasoning_content = section.mask_reasoning_content,
          .drop_history_reasoning = section.drop_history_reasoning_content};
}

data::SentenceOptions sentence_options(const config::DatasetSection& section) {
  return {section.vocab_size, section.mean_len, section.std_len, section.max_sentence_len,
          static_cast<uint64_t>(section.seed.value_or(42))};
}

std::shared_ptr<const data::SampleBuilder> make_builder(const config::DatasetSection& section, TokenizerPtr tokenizer,
                                                        const data::EdgeTokens& edges) {
  const std::string& kind = section.kind;
  if (kind == "mock")
    return std::make_shared<data::MockBuilder>(section.seq_len, section.vocab_size,
                                               static_cast<uint64_t>(section.seed.value_or(42)));
  if (kind == "mock_text") return std::make_shared<data::SentenceBuilder>(sentence_options(section));
  if (kind == "mock_packed") {
    data::MockPackedOptions options{section.num_blocks,      section.block_size, section.mean_len,
                                    section.std_len,         section.vocab_size, section.max_sentence_len,
                                    section.seed.value_or(0)};
    return std::make_shared<data::MockPackedBuilder>(options);
  }
  if (kind == "chat") return std::make_shared<data::ChatBuilder>(tokenizer, chat_options(section));
  if (kind == "xlam") return std::make_shared<data::XlamBuilder>(tokenizer, chat_options(section));
  if (kind == "agent_chat")
    return std::make_shared<data::AgentChatBuilder>(
        tokenizer, chat_options(section),
        data::AgentOptions{section.trim_incomplete_last_turn,
                           section.truncate_history ? section.seq_length.value_or(0) : 0, section.filter_no_assistant});
  if (kind == "squad")
    return std::make_shared<data::SquadBuilder>(tokenizer, data::SquadOptions{chat_options(section), edges});
  if (kind == "hellaswag") return std::make_shared<data::HellaSwagBuilder>(tokenizer, edges);
  if (kind == "column_mapped" || kind == "column_mapped_stream") {
    const auto& columns = section.column_mapping;
    return std::make_shared<data::PromptAnswerBuilder>(
        tokenizer,
        data::PromptAnswerOptions{columns.context, columns.question, columns.answer, section.answer_only_loss_mask,
                                  section.use_hf_chat_template, chat_options(section), edges});
  }
  throw UnsupportedError("dataset._target_", fmt::format("'{}' is not a kind of data set of this build", kind));
}

data::RowsOptions rows_options(const config::DatasetSection& section) {
  data::RowsOptions options;
  options.paths = section.path;
  options.split = section.split;
  options.limit = section.limit.value_or(-1);
  if (section.shuffle_seed) options.shuffle_seed = static_cast<uint64_t>(*section.shuffle_seed);
  options.name = section.name;
  options.revision = section.revision;
  options.hub = open_hub_dataset;
  return options;
}

std::unique_ptr<data::Rows> open_section_rows(const config::DatasetSection& section) {
  if (section.kind == "mock") return data::mock_rows(section.num_samples);
  if (section.kind == "mock_text") return data::mock_rows(section.num_sentences.value_or(section.num_samples));
  if (section.kind == "mock_packed") return data::mock_rows(section.num_blocks);
  return data::open_rows(rows_options(section));
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
  // NeMo AutoModel's rules; such rows are counted.
  if (section.kind.starts_with("column_mapped") || section.filter_no_assistant)
    faults.untrained_rows = data::OnFault::Skip;
  return faults;
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
  const bool limited = cuts || section.filter_overlong;
  int64_t limit = section.seq_length && limited ? *section.seq_length - shifted : 0;
  if (limit == 0 && limited) limit = max_positions;
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

/// All that the samples of a section are made from, as text: what the cache of tokens is named by.
std::string cache_text(const config::DatasetSection& section, const data::EdgeTokens& edges,
                       const std::filesystem::path& tokenizer) {
  const auto flag = [](const std::optional<bool>& value) { return value ? (*value ? "yes" : "no") : "unset"; };
  const auto options = chat_options(section);
  Json text = {
      {"kind", section.kind},
      {"split", section.split},
      {"name", section.name},
      {"limit", section.limit.value_or(-1)},
      {"shuffle_seed", section.shuffle_seed.value_or(-1)},
      {"template", section.chat_template.empty() ? "" : data::resolve_chat_template(section.chat_template)},
      {"train_on", static_cast<int>(options.train_on)},
      {"train_field", options.train_field},
      {"reasoning", {options.mask_reasoning_content, options.drop_history_reasoning}},
      {"columns", {section.column_mapping.context, section.column_mapping.question, section.column_mapping.answer}},
      {"answer", {section.answer_only_loss_mask, section.use_hf_chat_template}},
      {"agent", {section.truncate_history, section.trim_incomplete_last_turn, section.filter_no_assistant}},
      {"seq_length", section.truncate_history ? section.seq_length.value_or(0) : 0},
      {"edges", {flag(edges.add_bos), flag(edges.add_eos)}},
      {"program", data::file_fingerprint("/proc/self/exe")}};
  const auto rows = rows_options(section);
  for (const auto& slice : data::parse_split(rows.split))
    for (const auto& file : data::find_data_files({rows.paths, rows.name, rows.revision, rows.hub}, slice.name))
      text["files"].push_back(data::file_fingerprint(file.path.empty() ? file.fetch() : file.path));
  std::vector<std::string> files;
  if (!std::filesystem::is_directory(tokenizer))
    throw UnsupportedError("dataset.tokenized_cache",
                           tokenizer.string() + " is no folder, so its tokenizer has no fingerprint",
                           "give the model's folder");
  for (const auto& file : std::filesystem::directory_iterator(tokenizer))
    if (const auto ending = file.path().extension();
        file.is_regular_file() && ending != ".safetensors" && ending != ".bin" && file.file_size() < (1u << 28))
      files.push_back(file.path().filename().string() + data::file_fingerprint(file.path()));
  std::sort(files.begin(), files.end());
  text["tokenizer"] = files;
  return text.dump();
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
    const auto edges = edges_of(parts[i].tokenizer, config.tokenizer);
    auto rows = open_section_rows(parts[i]);
    if (training && parts[i].kind == "column_mapped_stream" && parts[i].repeat_on_exhaustion && section.sources.empty())
      rows = data::repeat_rows(std::move(rows));
    builders.push_back(make_builder(parts[i], own_tokenizer(parts[i], tokenizer), edges));
    names.push_back(join(parts[i].path, "+"));
    if (!section.tokenized_cache.empty()) cache += cache_text(parts[i], edges, tokenizer_folder(config, parts[i]));
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
    open_token_data(config, section, DataUse::Training, own_tokenizer(section, tokenizer), max_positions, data);
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
    open_token_data(config, section, DataUse::Validation, own_tokenizer(section, tokenizer), max_positions, data);
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
