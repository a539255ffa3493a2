#include "automodel/recipes/data_kinds.h"

#include <algorithm>

#include "automodel/base/error.h"
#include "automodel/data/chat.h"
#include "automodel/data/hellaswag.h"
#include "automodel/data/mock.h"
#include "automodel/data/mock_packed.h"
#include "automodel/data/prompt_answer.h"
#include "automodel/data/squad.h"
#include "automodel/data/tool_chat.h"
#include "automodel/recipes/hub_dataset.h"

namespace automodel::recipes {
namespace {

constexpr int64_t kMegatronSequenceLength = 2048;

using Section = config::DatasetSection;
using Builder = std::shared_ptr<const data::SampleBuilder>;
using Edges = data::EdgeTokens;

std::unique_ptr<data::Rows> read_files(const Section& section) { return data::open_rows(rows_options(section)); }

uint64_t mock_seed(const Section& section) { return static_cast<uint64_t>(section.seed.value_or(42)); }

Builder make_mock(const Section& section, const TokenizerPtr&, const Edges&) {
  return std::make_shared<data::MockBuilder>(section.seq_len, section.vocab_size, mock_seed(section));
}

Builder make_mock_text(const Section& section, const TokenizerPtr&, const Edges&) {
  return std::make_shared<data::SentenceBuilder>(data::SentenceOptions{
      section.vocab_size, section.mean_len, section.std_len, section.max_sentence_len, mock_seed(section)});
}

Builder make_mock_packed(const Section& section, const TokenizerPtr&, const Edges&) {
  return std::make_shared<data::MockPackedBuilder>(
      data::MockPackedOptions{section.num_blocks, section.block_size, section.mean_len, section.std_len,
                              section.vocab_size, section.max_sentence_len, section.seed.value_or(0)});
}

Builder make_chat(const Section& section, const TokenizerPtr& tokenizer, const Edges&) {
  return std::make_shared<data::ChatBuilder>(tokenizer, chat_options(section));
}

Builder make_xlam(const Section& section, const TokenizerPtr& tokenizer, const Edges&) {
  return std::make_shared<data::XlamBuilder>(tokenizer, chat_options(section));
}

Builder make_agent_chat(const Section& section, const TokenizerPtr& tokenizer, const Edges&) {
  return std::make_shared<data::AgentChatBuilder>(
      tokenizer, chat_options(section),
      data::AgentOptions{section.trim_incomplete_last_turn,
                         section.truncate_history ? section.seq_length.value_or(0) : 0, section.filter_no_assistant});
}

Builder make_squad(const Section& section, const TokenizerPtr& tokenizer, const Edges& edges) {
  return std::make_shared<data::SquadBuilder>(tokenizer, data::SquadOptions{chat_options(section), edges});
}

Builder make_hellaswag(const Section&, const TokenizerPtr& tokenizer, const Edges& edges) {
  return std::make_shared<data::HellaSwagBuilder>(tokenizer, edges);
}

Builder make_prompt_answer(const Section& section, const TokenizerPtr& tokenizer, const Edges& edges) {
  const auto& columns = section.column_mapping;
  return std::make_shared<data::PromptAnswerBuilder>(
      tokenizer,
      data::PromptAnswerOptions{columns.context, columns.question, columns.answer, section.answer_only_loss_mask,
                                section.use_hf_chat_template, chat_options(section), edges});
}

const DataKind kKinds[] = {
    {.name = "mock",
     .open_rows = [](const Section& section) { return data::mock_rows(section.num_samples); },
     .make_builder = make_mock,
     .tokenizes = false,
     .length_key = "seq_len",
     .own_length = [](const Section& section) { return section.seq_len; }},
    {.name = "mock_text",
     .open_rows =
         [](const Section& section) { return data::mock_rows(section.num_sentences.value_or(section.num_samples)); },
     .make_builder = make_mock_text,
     .length_key = "max_sentence_len",
     .own_length = [](const Section& section) { return section.max_sentence_len + 1; }},  // and its end
    {.name = "mock_packed",
     .open_rows = [](const Section& section) { return data::mock_rows(section.num_blocks); },
     .make_builder = make_mock_packed,
     .tokenizes = false,
     .length_key = "block_size",
     .own_length = [](const Section& section) { return std::min(section.block_size, section.max_sentence_len + 1); }},
    {.name = "chat", .open_rows = read_files, .make_builder = make_chat},
    {.name = "xlam", .open_rows = read_files, .make_builder = make_xlam},
    {.name = "agent_chat", .open_rows = read_files, .make_builder = make_agent_chat},
    {.name = "squad", .open_rows = read_files, .make_builder = make_squad},
    {.name = "hellaswag", .open_rows = read_files, .make_builder = make_hellaswag, .targets_only = 0},
    {.name = "column_mapped", .open_rows = read_files, .make_builder = make_prompt_answer, .leaves_untrained = true},
    {.name = "column_mapped_stream",
     .open_rows = read_files,
     .make_builder = make_prompt_answer,
     .leaves_untrained = true,
     .begins_again = true},
    {.name = "megatron",
     .own_length = [](const Section& section) { return section.seq_length.value_or(kMegatronSequenceLength); }},
    {.name = "nanogpt", .length_key = "seq_len", .own_length = [](const Section& section) { return section.seq_len; }},
};

data::TrainOn train_on(const Section& section) {
  if (section.mask_history || section.train_on_last_turn_only || section.train_on == "last_turn")
    return data::TrainOn::LastTurn;
  return section.train_on == "message_field" ? data::TrainOn::ByField : data::TrainOn::AllTurns;
}

}  // namespace

const DataKind& find_data_kind(const std::string& name) {
  for (const auto& kind : kKinds)
    if (kind.name == name) return kind;
  throw UnsupportedError("dataset._target_", fmt::format("'{}' is not a kind of data set of this build", name));
}

bool needs_tokenizer(const Section& section) {
  const auto& kind = find_data_kind(section.kind);
  return kind.is_tokens() ? section.eod_mask_loss || section.reset_attention_mask : kind.tokenizes;
}

bool cuts_rows(const Section& section) {
  return section.truncation != "false" && section.truncation != "do_not_truncate";
}

bool limits_rows(const Section& section) {
  return !find_data_kind(section.kind).is_tokens() && (cuts_rows(section) || section.filter_overlong);
}

std::optional<int64_t> asked_length(const Section& section) {
  const auto& kind = find_data_kind(section.kind);
  const auto own = kind.own_length ? std::optional(kind.own_length(section)) : std::nullopt;
  if (!section.seq_length || !limits_rows(section)) return own;
  const int64_t limit = *section.seq_length - kind.targets_only;
  return own ? std::min(*own, limit) : limit;
}

std::string length_key(const config::RecipeConfig& config) {
  const auto& section = config.dataset;
  const bool packed = config.packed_sequence.packed_sequence_size > 0, drops = section.filter_overlong;
  if (section.overlong == "error" && !drops && !config.packed_sequence.drop_long_samples) return "";
  if (packed) return "packed_sequence.packed_sequence_size";
  return cuts_rows(section) || drops ? fmt::format("dataset.{}", find_data_kind(section.kind).length_key) : "";
}

data::ChatOptions chat_options(const Section& section) {
  return {.chat_template = section.chat_template,
          .train_on = train_on(section),
          .train_field = section.train_field,
          .mask_reasoning_content = section.mask_reasoning_content,
          .drop_history_reasoning = section.drop_history_reasoning_content};
}

data::RowsOptions rows_options(const Section& section) {
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

}  // namespace automodel::recipes
