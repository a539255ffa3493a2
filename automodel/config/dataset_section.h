// dataset, validation_dataset and validation_dataset_NAME: where samples come from and how a row becomes tokens.
//
// Each kind takes only its own keys (the table of names says which); one struct serves them all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "automodel/config/tokenizer_section.h"

namespace automodel::config {

/// Names of a row's columns for the kind column_mapped.
struct ColumnMapping {
  std::string context, question, answer;

  template <class F>
  void describe(F& f) {
    f("context", context, "column of the context, put before the question");
    f("question", question, "column of the question or prompt");
    f("answer", answer, "column of the answer, which is trained");
  }
};

/// One source of a mixture: what is not said here is the data set's own.
struct SourceSection {
  std::string kind;               ///< "": the data set's
  std::vector<std::string> path;  ///< as DatasetSection::path
  std::optional<std::string> split;
  std::string name, revision;
  std::optional<int64_t> limit;
  std::optional<ColumnMapping> column_mapping;
  std::optional<double> weight;  ///< share of the rows; of all sources, or of none
  double epochs = 1;             ///< how often an epoch of the mixture reads the source, at most when there are weights

  template <class F>
  void describe(F& f) {
    f.target("dataset", kind);
    f("path_or_dataset_id", path, "file, list of files, folder or Hub id", "string|list<string>");
    f.alias("path_or_dataset", path, "string|list<string>");
    f.alias("dataset_name", path, "string|list<string>");
    f("split", split, "part of the source; null: the data set's split", "string|null");
    f("name", name, "configuration of a folder with README.md, or of a Hub data set", "string|null");
    f("revision", revision, "revision of a Hub data set", "string|null");
    f("limit_dataset_samples", limit, "use only the first n samples", "int[1,]|null");
    f.section("column_mapping", column_mapping, "names of the row's columns");
    f("weight", weight, "share of the rows, relative to the other sources' weights", "float(0,]|null");
    f("epochs", epochs, "how often an epoch reads this source; with weights: at most", "float(0,]");
  }
};

struct DatasetSection {
  std::string kind;               ///< native name of `_target_`: chat, column_mapped, squad, hellaswag, mock, ...
  std::vector<std::string> path;  ///< path_or_dataset_id, path_or_dataset or dataset_name: files, a folder, or a Hub id
  std::string split = "train";    ///< with HF's slices: train[:1000], train[10%:]
  std::string name;               ///< configuration of a folder with README.md or of a Hub data set
  std::string revision;
  std::optional<int64_t> seq_length;    ///< tokens a sample may have; nullopt: packed_sequence_size, or the model's
  std::string truncation = "true";      ///< true, false, longest_first, do_not_truncate, only_first, only_second
  std::string overlong = "truncate";    ///< truncate, split, drop or error: what happens to samples that are too long
  std::optional<int64_t> limit;         ///< limit_dataset_samples or num_samples_limit: the first n samples
  std::optional<int64_t> shuffle_seed;  ///< shuffles the rows before split slices are taken
  std::string chat_template;            ///< text of the template or a file; "": the tokenizer's own
  std::optional<TokenizerSection> tokenizer;
  ColumnMapping column_mapping;
  bool answer_only_loss_mask = true;
  bool use_hf_chat_template = false;
  bool mask_history = false;            ///< train only the last assistant turn
  bool mask_reasoning_content = false;  ///< do not train an assistant's reasoning_content
  bool skip_invalid_samples = false;
  std::string train_on = "all_turns";           ///< all_turns, last_turn or message_field
  std::string train_field = "train";            ///< message_field: the message's field that says so
  bool drop_history_reasoning_content = false;  ///< earlier turns are shown without their reasoning_content
  std::vector<SourceSection> sources;           ///< a mixture; then path is empty
  std::string tokenized_cache;                  ///< folder; "": samples are not kept
  bool truncate_history = false;                ///< agent_chat, as the four that follow
  bool trim_incomplete_last_turn = false;
  bool filter_no_assistant = false;
  bool filter_overlong = false;
  bool train_on_last_turn_only = false;
  bool repeat_on_exhaustion = true;      ///< column_mapped_stream: the rows begin again within an epoch
  int64_t vocab_size = 100;              // mock
  int64_t seq_len = 1024;                // mock, nanogpt
  int64_t num_samples = 1024;            // mock
  std::optional<int64_t> seed;           // mock, megatron; nullopt: 42 (packed 0), 1234
  std::optional<int64_t> num_sentences;  ///< mock_text; nullopt: num_samples
  std::optional<int64_t>
      batch_size;  ///< mock: must be step_scheduler.local_batch_size; of validation data it takes effect
  int64_t num_blocks = 10, block_size = 128, max_sentence_len = 64;  // mock_text, mock_packed
  double mean_len = 20, std_len = 6;                                 // mock_text, mock_packed
  std::string paths;            ///< megatron: a prefix, pattern or .json file; lists and maps as JSON
  std::string splits_to_build;  ///< megatron: train, validation or test; "": as the section is for
  std::optional<int64_t> num_train_samples, num_val_samples, num_test_samples;  // megatron
  std::string index_mapping_dir;
  bool eod_mask_loss = false, reset_position_ids = false, reset_attention_mask = false, add_extra_token = true;
  std::vector<std::string> file_pattern;             ///< nanogpt
  bool shuffle_files = false, align_to_bos = false;  // nanogpt
  std::optional<int64_t> bos_token;                  // nanogpt

  template <class F>
  void describe(F& f) {
    f.target("dataset", kind);
    describe_rows(f);
    describe_samples(f);
    describe_megatron(f);
    describe_nanogpt(f);
    describe_mock(f);
  }

 private:
  template <class F>
  void describe_rows(F& f) {
    f("path_or_dataset_id", path,
      "file, list of files, folder or Hub id (path_or_dataset and dataset_name say the same)", "string|list<string>");
    f.alias("path_or_dataset", path, "string|list<string>");
    f.alias("dataset_name", path, "string|list<string>");
    f.alias("path", path, "string|list<string>");
    f("split", split,
      "part of the data set, with slices: train[:1000], train[10%:20%]; Megatron data: shares of train, validation "
      "and test (not set: 900,50,50)",
      "string|null|list<float[0,]>");
    f("name", name, "configuration of a folder with README.md, or of a Hub data set", "string|null");
    f("revision", revision, "revision of a Hub data set", "string|null");
    f("seq_length", seq_length, "tokens a sample may have; null: packed_sequence_size, or the model's longest",
      "int[2,]|null");
    f("truncation", truncation, "cut samples that are longer than seq_length",
      "bool|=longest_first|=do_not_truncate|=only_first|=only_second|null");
    f("overlong", overlong,
      "samples that are too long: cut them, lay them out as several documents, leave them out (all counted), or stop",
      "=truncate|=split|=drop|=error");
    f("limit_dataset_samples", limit, "use only the first n samples (num_samples_limit says the same)", "int[1,]|null");
    f.alias("num_samples_limit", limit, "int[1,]|null");
    f("shuffle_seed", shuffle_seed, "shuffle the rows with this seed before the split's slice is taken; null: do not",
      "int[0,]|null");
  }

  template <class F>
  void describe_samples(F& f) {
    f("chat_template", chat_template, "Jinja template, as text or file; not set: the tokenizer's own", "string|null");
    f.section("tokenizer", tokenizer, "tokenizer of this data set, when it is not the model's");
    f.section("column_mapping", column_mapping, "names of the row's columns");
    f("answer_only_loss_mask", answer_only_loss_mask, "train only the answer");
    f("use_hf_chat_template", use_hf_chat_template, "put question and answer into the chat template");
    f("mask_history", mask_history, "train only the last assistant turn");
    f("mask_reasoning_content", mask_reasoning_content, "do not train the assistant's reasoning_content");
    f("skip_invalid_samples", skip_invalid_samples,
      "leave out rows that cannot be used (counted) instead of stopping at the first");
    f("train_on", train_on, "assistant turns to train: all, the last, or those whose train_field is true or not 0",
      "=all_turns|=last_turn|=message_field");
    f("train_field", train_field, "field of an assistant's message for train_on: message_field; where it lacks: train",
      "string");
    f("drop_history_reasoning_content", drop_history_reasoning_content,
      "show only the last assistant turn with its reasoning_content");
    f.list("sources", sources, "several data sets read as one, in fixed shares; instead of path_or_dataset_id");
    f("tokenized_cache", tokenized_cache,
      "folder in which tokenized samples are kept for later runs, several at once; null: none", "string|null");
    f("truncate_history", truncate_history, "leave out the oldest exchanges of a chat that is longer than seq_length");
    f("trim_incomplete_last_turn", trim_incomplete_last_turn, "cut off what follows the last assistant turn");
    f("filter_no_assistant", filter_no_assistant, "leave out chats without an assistant's message (counted)");
    f("filter_overlong", filter_overlong, "leave out chats longer than seq_length (counted)");
    f("train_on_last_turn_only", train_on_last_turn_only, "train only the last assistant turn");
    f("repeat_on_exhaustion", repeat_on_exhaustion,
      "streamed data: begin again within an epoch, which only step_scheduler.max_steps then ends");
  }

  template <class F>
  void describe_megatron(F& f) {
    f("paths", paths,
      "Megatron data: path without .bin and .idx, a pattern, [weight, path, ...], {train: ..., validation: ...}, or a "
      ".json file of these",
      "string|map|list<string|float>|null");
    f("splits_to_build", splits_to_build, "Megatron data: the part to use; null: the one the section is for",
      "=train|=validation|=test|null");
    f("num_train_samples", num_train_samples, "Megatron data: samples to draw; null: max_steps * global_batch_size",
      "int[1,]|null");
    f("num_val_samples", num_val_samples,
      "Megatron data: samples of a validation; null: global_batch_size for each validation of the run", "int[1,]|null");
    f("num_test_samples", num_test_samples, "Megatron data: samples of the test part; null: one epoch", "int[1,]|null");
    f("index_mapping_dir", index_mapping_dir,
      "Megatron data: folder in which the order of samples is kept; null: beside the data");
    f("eod_mask_loss", eod_mask_loss, "Megatron data: do not train what follows an end-of-document token");
    f("reset_position_ids", reset_position_ids,
      "Megatron data: positions begin anew after an end-of-document token; together with reset_attention_mask");
    f("reset_attention_mask", reset_attention_mask,
      "Megatron data: nothing sees across an end-of-document token; together with reset_position_ids");
    f("add_extra_token", add_extra_token, "Megatron data: samples have one token more, the last target");
  }

  template <class F>
  void describe_nanogpt(F& f) {
    f("file_pattern", file_pattern, "NanoGPT data: pattern or list of .bin shards", "string|list<string>");
    f("shuffle_files", shuffle_files, "NanoGPT data: another order of the shards in each pass");
    f("align_to_bos", align_to_bos, "NanoGPT data: each sample begins at a bos_token");
    f("bos_token", bos_token, "NanoGPT data: id of the token that begins documents", "int[0,]|null");
  }

  template <class F>
  void describe_mock(F& f) {
    f("vocab_size", vocab_size, "mock data: ids are drawn below this", "int[1,]");
    f("seq_len", seq_len, "mock and NanoGPT data: tokens in a sample", "int[1,]");
    f("num_samples", num_samples, "mock data: samples in the set", "int[1,]");
    f("num_sentences", num_sentences, "mock sentences: samples in the set; null: num_samples", "int[1,]|null");
    f("num_blocks", num_blocks, "packed mock data: blocks in the set", "int[1,]");
    f("block_size", block_size, "packed mock data: tokens in a block", "int[2,]");
    f("mean_len", mean_len, "mock sentences and blocks: mean length of a sentence", "float[0,]");
    f("std_len", std_len, "mock sentences and blocks: standard deviation of the length of a sentence", "float[0,]");
    f("max_sentence_len", max_sentence_len, "mock sentences and blocks: longest sentence", "int[1,]");
    f("seed", seed, "seed of mock data's ids (null: 42; packed: 0) and of the order of Megatron data (null: 1234)",
      "int[0,]|null");
    f("batch_size", batch_size,
      "mock data: samples of a microbatch; for training it must be step_scheduler.local_batch_size", "int[1,]|null");
  }
};

}  // namespace automodel::config
