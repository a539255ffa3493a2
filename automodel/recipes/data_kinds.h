// The kinds of data sets (`dataset._target_`): what each opens and builds, as one table.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "automodel/config/recipe_config.h"
#include "automodel/data/chat_format.h"
#include "automodel/data/prompt_answer.h"
#include "automodel/data/rows.h"
#include "automodel/data/sample.h"
#include "automodel/tokenizer/tokenizer.h"

namespace automodel::recipes {

using TokenizerPtr = std::shared_ptr<const tokenizer::Tokenizer>;

struct DataKind {
  std::string_view name;  // its native spelling
  std::unique_ptr<data::Rows> (*open_rows)(const config::DatasetSection& section) = nullptr;
  std::shared_ptr<const data::SampleBuilder> (*make_builder)(const config::DatasetSection& section,
                                                             const TokenizerPtr& tokenizer,
                                                             const data::EdgeTokens& edges) = nullptr;
  bool tokenizes = true;          // its samples need a tokenizer
  bool leaves_untrained = false;  // rows with nothing to train are left out and counted, as in NeMo AutoModel
  bool begins_again = false;      // an epoch of training has no end, unless repeat_on_exhaustion says so
  int64_t targets_only = 1;       // of a sample's seq_length tokens, the last ones that are labels and not inputs
  std::string_view length_key = "seq_length";  // of its section: how many tokens a sample has at most
  /// Tokens of its longest document where the section always says: what is made of random numbers or cut out of files
  /// of tokens has the length that is asked for, whatever the model's.
  int64_t (*own_length)(const config::DatasetSection& section) = nullptr;

  /// Windows of tokens, which token_data.h opens: there are no rows to build samples from.
  bool is_tokens() const { return make_builder == nullptr; }
};

/// Throws UnsupportedError for a name that is not in the table.
const DataKind& find_data_kind(const std::string& name);

inline bool is_token_data(const std::string& kind) { return find_data_kind(kind).is_tokens(); }

/// Whether samples of this section cannot be made without a tokenizer.
bool needs_tokenizer(const config::DatasetSection& section);

/// Whether `truncation` lets seq_length limit its rows.
bool cuts_rows(const config::DatasetSection& section);

/// Whether rows that are longer than some limit are cut, dropped or refused by it.
bool limits_rows(const config::DatasetSection& section);

/// The tokens that a document of the section may have as it says itself: its kind's own_length, or seq_length, where
/// that limits rows. Nothing: it does not say.
std::optional<int64_t> asked_length(const config::DatasetSection& section);

/// The key whose lower value makes the longest document shorter: "packed_sequence.packed_sequence_size",
/// "dataset.seq_length", "dataset.seq_len"... Empty where longer rows are not cut then (truncation: false, overlong:
/// error).
std::string length_key(const config::RecipeConfig& config);

/// What the options of a section say about chats, and about which of its rows are read.
data::ChatOptions chat_options(const config::DatasetSection& section);
data::RowsOptions rows_options(const config::DatasetSection& section);

/// All that the samples of a section are made from, as text, the same for two sections whose samples are the same: what
/// the cache of tokens is named by. `tokenizer`: the folder of its files. Throws UnsupportedError where it is none.
std::string describe_samples(const config::DatasetSection& section, const data::EdgeTokens& edges,
                             const std::filesystem::path& tokenizer);

}  // namespace automodel::recipes
