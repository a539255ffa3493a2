// What a run saves and how it goes on: the contents of epoch_E_step_S/.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "automodel/checkpoint/run_folder.h"
#include "automodel/checkpoint/run_state.h"
#include "automodel/config/recipe_config.h"
#include "automodel/data/loader.h"
#include "automodel/optim/adam.h"
#include "automodel/optim/lr_schedule.h"
#include "automodel/optim/step_guard.h"
#include "automodel/optim/step_scheduler.h"
#include "automodel/recipes/model_setup.h"

namespace automodel::recipes {

/// The parts of a run whose state a checkpoint holds; all must outlive it.
struct RunParts {
  TrainedModel& model;
  optim::Adam& optimizer;
  optim::StepGuard& guard;
  optim::StepScheduler& scheduler;
  data::Loader& loader;
  const optim::LrSchedule& schedule;
};

class RunCheckpoint {
 public:
  /// Makes or opens the run's folder and locks it, also for the records alone of a run without checkpoints. Throws
  /// SystemError, CheckpointError.
  RunCheckpoint(const config::RecipeConfig& config, RunParts parts);

  /// Goes on from where checkpoint.restore_from says, or by itself from LATEST; returns its name, nothing for a fresh
  /// run. Checkpoints that are not whole and that the run will come to again are set aside. Throws CheckpointError that
  /// says what differs when the folder holds a run of another configuration, or, with checkpoint.enabled false, any
  /// run that this one does not go on with.
  std::optional<std::string> resume();

  /// Publishes epoch_E_step_S with model/ (as save_consolidated says), state/ and config.yaml; LATEST and BEST move
  /// afterwards. `metric` is the validation loss that decides BEST, `last` whether the run ends here.
  std::filesystem::path save(int64_t epoch, int64_t step, std::optional<double> metric, bool last);

  /// Before an error ends the run after `step` was made: saves that step unless it is saved already, and logs what is
  /// safe or that nothing is. What goes wrong here is logged only, so that the error itself is what is told.
  void save_before_error(int64_t epoch, int64_t step);

 private:
  std::vector<checkpoint::FileRecord> write_model(const std::filesystem::path& folder) const;
  std::vector<checkpoint::FileRecord> write_state(const std::filesystem::path& folder) const;
  void check_same_config(const std::filesystem::path& checkpoint) const;

  void check_records_are_free(const std::optional<checkpoint::CheckpointEntry>& from) const;

  const config::RecipeConfig& config_;
  RunParts parts_;
  std::unique_ptr<checkpoint::RunFolder> folder_;
  std::filesystem::path newest_;  // the last one that this process saved
  int64_t newest_step_ = -1;
};

}  // namespace automodel::recipes
