#include "automodel/recipes/finetune.h"

#include <set>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/log.h"
#include "automodel/base/signals.h"
#include "automodel/base/text.h"
#include "automodel/config/load_config.h"
#include "automodel/kernels/cuda/device_error.h"
#include "automodel/metrics/logger.h"
#include "automodel/recipes/numerics.h"
#include "automodel/recipes/run_checkpoint.h"
#include "automodel/recipes/run_settings.h"
#include "automodel/recipes/step_log.h"

namespace automodel::recipes {

static std::optional<int64_t> epoch_microbatches(const config::RecipeConfig& config, const data::Loader& loader) {
  if (const auto known = loader.microbatches_per_epoch()) return known;
  if (config.step_scheduler.max_steps) return std::nullopt;
  log_info("counting the packs of an epoch (set step_scheduler.max_steps to start at once)");
  return loader.count_microbatches();
}

static std::string describe(const TrainedModel& loaded) {
  const auto all = models::count_parameters(*loaded.model), trained = models::count_parameters(*loaded.model, true);
  return fmt::format("model: {}, {} {}, {} parameters, {} of them trained", loaded.folder.family->model_type,
                     loaded.random ? "random weights for the config in" : "weights from", loaded.folder.path.string(),
                     format_count(static_cast<uint64_t>(all)), format_count(static_cast<uint64_t>(trained)));
}

static void write_config(const config::RecipeConfig& config) {
  const std::filesystem::path folder = config.checkpoint.checkpoint_dir;
  make_folders(folder);
  write_file_atomically(folder / "config.yaml", config::effective_yaml(config));
}

// Runs every validation set; the loss of the one that decides BEST.
static std::optional<double> validate_all(const config::RecipeConfig& config, engine::Engine& engine,
                                          std::vector<ValidationLoader>& sets, metrics::Logger& log,
                                          const optim::StepEvents& events, double lr) {
  std::optional<double> metric;
  for (auto& set : sets) {
    const auto result = validate(engine, *set.loader, events.step);
    log.log_validation({.name = set.name,
                        .step = events.step,
                        .epoch = events.epoch,
                        .val_loss = result.loss,
                        .lr = lr,
                        .num_label_tokens = result.trained_tokens});
    if (set.name == config.checkpoint.best_metric_key && result.trained_tokens > 0) metric = result.loss;
  }
  return metric;
}

// The parts of a run that its steps work on, and what came of the steps so far.
namespace {
struct Run {
  const config::RecipeConfig& config;
  engine::Engine& engine;
  optim::Adam& optimizer;
  optim::StepGuard& guard;
  optim::StepScheduler& scheduler;
  data::Loader& loader;
  const optim::LrSchedule& schedule;
  std::vector<ValidationLoader>& validation_sets;
  RunCheckpoint& checkpoints;
  metrics::Logger& log;
  StepLog& steps;
  const MemoryAdvisor& advisor;
  optim::StepEvents events{};  // of the last step made
  RunResult result{};
  std::set<std::string> told_notes{};  // of the data
};
}  // namespace

// What the rows showed of their template: after the first step, and at the end what came later.
static void tell_notes(Run& run) {
  for (const auto& note : run.loader.notes())
    if (run.told_notes.insert(note).second) log_info("note: " + note);
}

// For `work` that tells and measures the steps made: what ends it (a full disk, a bad validation row) must not cost
// them. Numbers that went wrong are no reason to save.
template <class Work>
static void keep_steps_on_fault(Run& run, Work&& work) {
  try {
    work();
  } catch (const NumericError&) {
    throw;
  } catch (const kernels::DeviceError&) {  // the weights cannot be read any more
    throw;
  } catch (const Error&) {
    run.checkpoints.save_before_error(run.events.epoch, run.events.step);
    throw;
  }
}

// Trains on the next group of microbatches; nothing when the loader's epoch ended.
static std::optional<LaunchedStep> train_on_next_group(Run& run) {
  const int64_t step = run.scheduler.step();
  try {
    const auto microbatches = run.loader.next_group(run.scheduler.grad_acc_steps());
    if (microbatches.empty()) return std::nullopt;
    return train_step(run.engine, run.optimizer, run.guard, microbatches,
                      {.seed = static_cast<uint64_t>(run.config.seed),
                       .step = step,
                       .lr = run.schedule.lr(step),
                       .weight_decay = run.schedule.weight_decay(step),
                       .max_norm = run.config.clip_grad_norm.max_norm.value_or(0),
                       .advisor = &run.advisor});
  } catch (const kernels::DeviceError&) {
    throw;
  } catch (const Error&) {  // a bad row must not cost the steps made before it
    run.loader.step_back();
    keep_steps_on_fault(run, [&] { run.steps.flush(); });
    if (run.result.steps > 0) run.checkpoints.save_before_error(run.events.epoch, run.events.step);
    throw;
  }
}

static void make_step(Run& run) {
  auto made = train_on_next_group(run);
  if (!made) {  // the scheduler knows that the epoch ended unless the epoch held nothing at all
    while (run.scheduler.epoch() < run.loader.epoch()) run.scheduler.skip_to_next_epoch();
    return;
  }
  ++run.result.steps;
  const auto& events = run.events = run.scheduler.finish_step(run.loader.at_epoch_end(), stop_signal() != 0);
  const double next_lr = run.schedule.lr(events.step + 1);
  std::optional<double> metric;
  keep_steps_on_fault(run, [&] {
    run.steps.add(std::move(*made),
                  {.step = events.step, .epoch = events.epoch, .lr = next_lr, .log_remote = events.log_remote});
    if (run.result.steps == 1) tell_notes(run);
    if (events.validate || events.checkpoint) run.steps.flush();
    if (events.validate) metric = validate_all(run.config, run.engine, run.validation_sets, run.log, events, next_lr);
  });
  if (events.checkpoint)
    run.result.checkpoint = run.checkpoints.save(events.epoch, events.step, metric, events.last_step).string();
  if (events.stopped) run.result.stopped_by = stop_signal();
}

RunResult finetune(const config::RecipeConfig& config) {
  set_numerics(config);

  // What is trained, and on what.
  auto loaded = load_trained_model(config);
  log_info(describe(loaded));
  const int64_t positions = loaded.folder.spec.max_positions, vocab = loaded.folder.spec.embedding.vocab;
  const auto loader = make_loader(open_training_data(config, loaded.tokenizer, positions, vocab));
  auto validation_sets = make_validation_loaders(config, loaded.tokenizer, positions, vocab);

  // How it is trained.
  auto guard = make_step_guard(config, loaded.folder.dtype, loaded.model->device);
  auto engine = make_engine(loaded, config, guard);
  auto optimizer = make_optimizer(config, loaded.trained_parameters());
  optim::StepScheduler scheduler(config.step_scheduler, 1, epoch_microbatches(config, *loader));
  const auto schedule = make_schedule(config, scheduler.total_steps());
  log_info("learning rate: " + schedule.describe());

  // Where it goes on, and where it is told.
  RunCheckpoint checkpoints(config, {loaded, optimizer, guard, scheduler, *loader, schedule});
  if (const auto from = checkpoints.resume())
    log_info(fmt::format("resumed from {}: next is step {}", *from, scheduler.step()));
  write_config(config);
  metrics::Logger log({.folder = config.checkpoint.checkpoint_dir,
                       .next_step = scheduler.step(),
                       .total_steps = scheduler.total_steps(),
                       .loss_average_window_steps = config.step_scheduler.loss_average_window_steps,
                       .tensorboard = config.tensorboard});
  MemoryMeter meter(engine, optimizer);
  StepLog steps(engine, guard, log, meter);
  install_stop_signals(preemption_signals(config.step_scheduler));

  const MemoryAdvisor advisor(config, loaded.folder.spec, *loaded.model);
  Run run{config,   engine,          optimizer,   guard, scheduler, *loader,
          schedule, validation_sets, checkpoints, log,   steps,     advisor};
  while (!scheduler.done()) make_step(run);
  keep_steps_on_fault(run, [&] { steps.flush(); });
  log.close();
  tell_notes(run);
  log_info("data: " + loader->summary());
  return run.result;
}

}  // namespace automodel::recipes
