// The shards of NanoGPT's preprocessing scripts: NeMo AutoModel's NanogptDataset.
//
// A shard is 256 int32 of header and the tokens after it:
//   header[0]   278895051; or 20240520, the older format, whose tokens are always uint16
//   header[1]   version, 1
//   header[2]   tokens
//   header[3]   bytes of a token, 2 or 4 (older format: not looked at)
// SHARD.bos.idx beside SHARD.bin, if it is there: int32 places of the beginning-of-document tokens, ascending.
//
// Samples of a shard are windows of seq_len + 1 tokens one after another, sharing none; with align_to_bos each begins
// at the next bos token. What is left at a shard's end is not used. The shards come in the order of their names, or
// with shuffle_files in another one in each pass: a function of the seed and the pass alone, where NeMo AutoModel's
// depends on the process id and on the number of workers.
#pragma once

#include <optional>

#include "automodel/data/token_windows.h"

namespace automodel::data {

struct NanogptOptions {
  std::vector<std::string> files;  // patterns or files
  int64_t seq_len = 1024;
  bool shuffle_files = false, align_to_bos = false;
  std::optional<int64_t> bos_token;  // for align_to_bos
  /// Samples to draw, in as many passes as that takes (NeMo AutoModel's has no end); not set: one pass.
  std::optional<int64_t> samples;
  uint64_t seed = 42;
};

/// Throws ConfigError, DataError for a shard that is damaged or of another format, SystemError. Shards are mapped, and
/// those before the first sample that is asked for are searched for bos tokens only with align_to_bos.
std::shared_ptr<const TokenWindows> open_nanogpt(const NanogptOptions& options);

/// The files that `patterns` name, those of one pattern sorted. Throws ConfigError when one matches nothing.
std::vector<std::string> nanogpt_files(const std::vector<std::string>& patterns);

}  // namespace automodel::data
