// preprocess: JSON lines tokenised into Megatron's .bin/.idx, byte for byte as Megatron's tools/preprocess_data.py
// writes them with a Hugging Face tokenizer (megatron-core's IndexedDatasetBuilder), but in several threads, and going
// on where a killed one stopped.
//
//   PREFIX_KEY_document.{bin,idx} for each key. A row is a document; its text is one sequence, a list of texts several.
//   Texts are encoded with the tokenizer's special tokens; texts without tokens make no sequence, documents without any
//   stay as empty ones. append_eod adds the eos token to the last sequence of a document that has tokens.
//   Tokens are uint16 for vocabularies below 65,500 and int32 for others.
#pragma once

#include <functional>
#include <memory>

#include "automodel/tokenizer/tokenizer.h"

namespace automodel::data {

struct PreprocessOptions {
  std::vector<std::string> inputs;  // .jsonl files, also .gz or .zst; several are read one after another
  std::string output_prefix;
  std::string model;  // folder of the tokenizer
  std::vector<std::string> keys = {"text"};
  bool append_eod = false;
  bool add_special = true;
  bool skip_bad_rows = false;  // leave out and count rows that cannot be used, instead of stopping
  bool restart = false;        // throw away what is there: a finished data set, or an unfinished one
  int64_t workers = 0;         // threads that tokenise; 0: one for each core
  double mark_seconds = 5;     // between two moments from which a killed run goes on
};

struct PreprocessProgress {
  // Of the text: done; of them before a restart; of all files, 0 where some are packed.
  int64_t input_bytes = 0, input_bytes_before = 0, input_bytes_all = 0;
  int64_t documents = 0, tokens = 0, bad_rows = 0;  // whole
  double seconds = 0;                               // of this process
};

struct PreprocessReport {
  PreprocessProgress progress;
  std::vector<std::string> outputs;  // prefixes of the sets, without .bin and .idx
  bool resumed = false;
  int stopped_by = 0;  // a signal: the files are not there yet, and the same command goes on
};

/// `show` is called about twice a second. Throws DataError{"file:line"} for a row that cannot be used, ConfigError for
/// outputs that exist already or an unfinished run of other inputs, options or tokenizer that has written documents
/// (skip_bad_rows may differ as long as no row was left out), SystemError, UnsupportedError. Uses memory for a few
/// megabytes of text for each worker, whatever the size of the input.
PreprocessReport preprocess(const PreprocessOptions& options, std::shared_ptr<const tokenizer::Tokenizer> tokenizer,
                            const std::function<void(const PreprocessProgress&)>& show = {});

}  // namespace automodel::data
