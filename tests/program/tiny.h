// A tiny model, a little data and a configuration for runs that take a second.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "tests/program/process.h"

namespace automodel::program {

/// config.json of a qwen3 model of 2 layers, hidden 32, vocabulary 4096.
Json tiny_config();

/// config.json and the bundled tokenizer's files; no weights.
void write_tiny_folder(const std::filesystem::path& folder, const Json& config);

/// A folder as write_tiny_folder makes it, with random weights that a run of this program saved; made once a process.
const std::filesystem::path& tiny_base();

/// The first `rows` lines of the bundled chats, from line `first` (from 0) on.
void write_chats(const std::filesystem::path& file, int rows, int first = 0);

/// Writes `folder`/run.yaml: fine-tunes tiny_base() on 60 bundled chats; 2 microbatches of 2 chats a step, no
/// shuffling, checkpoints into `folder`/out at the end only. What a test wants else it says by overrides.
std::filesystem::path write_run(const std::filesystem::path& folder);

/// The same from random weights: `model` holds config.json and the tokenizer.
std::filesystem::path write_run_from_config(const std::filesystem::path& folder, const std::filesystem::path& model);

/// {CONFIG, overrides...}, and CONFIG's folder plus "out" is where it saves.
Arguments with(const std::filesystem::path& config, const Arguments& overrides);

/// The overrides that put adapters into every linear, and `more`.
Arguments lora(const Arguments& more = {});

/// The lines of a .jsonl file; empty if there is none.
std::vector<Json> read_lines(const std::filesystem::path& file);

/// Of every step "step loss grad_norm lr num_label_tokens", as they stand in training.jsonl.
std::vector<std::string> steps_of(const std::filesystem::path& run);

/// Losses of training.jsonl.
std::vector<double> losses_of(const std::filesystem::path& run);

/// Whether runs are on a GPU: AUTOMODEL_TEST_DEVICE names one (tensor/testing.h).
bool on_gpu();
/// A bound that runs on the CPU keep, four times as wide on a GPU.
double device_bound(double on_cpu);

/// What the program printed on standard output, as JSON; the run must have ended well.
Json json_of(const Arguments& arguments, const Setting& setting = {});

/// "logits" [T, V] of a file that `score --logits` wrote, row by row.
std::vector<std::vector<float>> read_logits(const std::filesystem::path& file);

/// The names in a folder, sorted; hidden ones too.
std::vector<std::string> names_in(const std::filesystem::path& folder);

/// What the program printed on standard output, which must hold every one of `words`, with nothing on standard error;
/// the run must have ended well.
std::string text_of(const Arguments& arguments, const std::vector<std::string>& words, const std::string& input = "");

/// The run must have ended well; its standard error is shown otherwise.
void expect_success(const Finished& finished);

/// One clear error as a user must see it: the exit code, nothing on standard output, on standard error exactly one
/// "error: " at the beginning of a line and after it nothing but indented lines; no trace of the machinery; every one
/// of `words` in the message.
void expect_error(const Finished& finished, int exit_code, const std::vector<std::string>& words);

}  // namespace automodel::program
