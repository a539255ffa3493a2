// The training state of a run: what resume reads, and what a later run with another layout cuts anew.
// docs/checkpoint_format.md describes the files; this is the folder `state/` of a checkpoint:
//
//   state.json                                               RunRecord
//   weights/shard-00001-model-00001-of-00002.safetensors     the trained weights at the precision they are updated in
//   optimizer/shard-00001-model-00001-of-00001.safetensors   "state.<weight>.exp_avg", ".exp_avg_sq", ".step", ...
//
// Every file says in its metadata which piece of which tensor it holds (DCP_SHARDING_INFO, as
// torch.distributed.checkpoint's HuggingFaceStorageReader reads it), so that ranks can each write their own pieces and
// any layout can read them. Bits are exact: tensors keep their dtype.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "automodel/base/json.h"
#include "automodel/checkpoint/safetensors.h"
#include "automodel/checkpoint/safetensors_writer.h"

namespace automodel::checkpoint {

inline constexpr int kStateVersion = 1;

/// state.json. The objects belong to those who write them (schedule, data loader, ...); a checkpoint only keeps them.
struct RunRecord {
  int64_t step = 0;                 // optimizer steps finished
  int64_t epoch = 0;                // the epoch that the next step belongs to
  Json optimizer = Json::object();  // scalars that are no tensors, e.g. the name of the algorithm
  Json schedule = Json::object();   // of the learning rate
  Json random = Json::object();     // seeds and counters
  Json data = Json::object();       // position in each data source
  Json layout = Json::object();     // {"world_size": 1, ...}: what wrote it
};

struct StateOptions {
  int rank = 0;                                   // names the files; rank 0 writes state.json too
  uint64_t max_shard_size_bytes = 5'000'000'000;  // a file of this rank at most, unless one tensor is larger
};

/// Writes the pieces of this rank and flushes them to disk; paths in the records are relative to `folder`. Empty lists
/// write no file. Throws SystemError (full disk), CheckpointError.
std::vector<FileRecord> write_run_state(const std::filesystem::path& folder, const RunRecord& record,
                                        std::span<const NamedTensor> weights, std::span<const NamedTensor> optimizer,
                                        const StateOptions& options = {});

/// All pieces of a folder of sharded safetensors, as whole tensors.
class SavedTensors {
 public:
  /// Maps every *.safetensors of the folder. Files without sharding information hold whole tensors. Throws
  /// CheckpointError when pieces of a tensor overlap, leave gaps or differ in dtype, or when a file is damaged; a
  /// folder that is not there is empty.
  explicit SavedTensors(const std::filesystem::path& folder);

  std::vector<std::string> names() const;  // sorted
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  const std::vector<int64_t>& shape(const std::string& name) const { return at(name).shape; }
  at::ScalarType dtype(const std::string& name) const { return at(name).dtype; }

  /// Fills `target`, which is the piece at `offsets` (empty: at 0) of the tensor, from whatever pieces hold it, bit for
  /// bit. The dtype must be the saved one. `target` may be strided.
  void copy_to(const std::string& name, const at::Tensor& target, const std::vector<int64_t>& offsets = {}) const;

 private:
  struct Piece {
    size_t file;
    const TensorEntry* entry;
    std::vector<int64_t> offsets;
  };
  struct Whole {
    at::ScalarType dtype;
    std::vector<int64_t> shape;
    std::vector<Piece> pieces;
  };
  const Whole& at(const std::string& name) const;
  void add_file(size_t index);
  void check_pieces() const;

  std::filesystem::path folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, Whole> tensors_;
};

/// Fills every target from the tensor of its name. Throws CheckpointError, before anything is written, that lists up to
/// five names that are missing, that no target wants, or whose shape or dtype differ.
void load_tensors(const SavedTensors& saved, std::span<const NamedTensor> targets);

/// An opened state folder; the tensors are mapped and read when asked for.
struct SavedState {
  RunRecord record;
  SavedTensors weights, optimizer;
};

/// Throws CheckpointError when the folder holds no state, one of a later format, or damaged files.
SavedState open_run_state(const std::filesystem::path& folder);

/// The state.json alone: cheap.
RunRecord load_run_record(const std::filesystem::path& folder);

}  // namespace automodel::checkpoint
