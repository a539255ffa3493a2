#include "automodel/recipes/benchmark.h"

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/engine/host_clock.h"
#include "automodel/metrics/process_memory.h"
#include "automodel/models/flops.h"
#include "automodel/optim/step_scheduler.h"
#include "automodel/recipes/device.h"
#include "automodel/recipes/gpu_peak.h"
#include "automodel/recipes/model_setup.h"
#include "automodel/recipes/numerics.h"
#include "automodel/recipes/run_settings.h"
#include "automodel/recipes/step_clock.h"
#include "automodel/recipes/train_step.h"

namespace automodel::recipes {
namespace {

constexpr int64_t kProfiledSteps = 3, kHostSteps = 3;

double share_of(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values.at(std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size()))));
}

// The steps that a benchmark makes, each numbered after the one before.
class Steps {
 public:
  Steps(const config::RecipeConfig& config, data::Loader& loader, optim::Adam& optimizer, optim::StepGuard& guard,
        const MemoryAdvisor& advisor)
      : config_(config),
        loader_(loader),
        optimizer_(optimizer),
        guard_(guard),
        advisor_(advisor),
        grad_acc_steps_(optim::StepScheduler(config.step_scheduler, 1, std::nullopt).grad_acc_steps()) {}

  void take_next_microbatches() {
    auto next = loader_.next_group(grad_acc_steps_);
    if (next.empty())
      throw DataError("dataset",
                      fmt::format("ended after {} of {}", step_, counted(*config_.step_scheduler.max_steps, "step")));
    microbatches_ = std::move(next);
  }
  /// On the microbatches taken last: what is measured beside the counted steps takes no data of its own.
  LaunchedStep launch(engine::Engine& engine) {
    return train_step(engine, optimizer_, guard_, microbatches_,
                      {.seed = static_cast<uint64_t>(config_.seed),
                       .step = step_++,
                       .lr = config_.optimizer.lr,
                       .weight_decay = config_.optimizer.weight_decay,
                       .advisor = &advisor_});
  }
  int64_t document_tokens() const { return microbatches_.front().longest(); }

 private:
  const config::RecipeConfig& config_;
  data::Loader& loader_;
  optim::Adam& optimizer_;
  optim::StepGuard& guard_;
  const MemoryAdvisor& advisor_;
  int64_t grad_acc_steps_, step_ = 0;
  std::vector<Batch> microbatches_;
};

// Waits for a step: its loss. Throws NumericError for a step that went wrong and must not be skipped.
double read_loss(engine::Engine& engine, const LaunchedStep& step, optim::StepGuard& guard) {
  const auto numbers = read_step(engine, step, guard);
  if (!numbers.skipped.empty()) log_warning("a step was skipped: " + numbers.skipped);
  guard.count_step(step.step, !numbers.skipped.empty());
  return numbers.loss;
}

int64_t steps_of_run(const config::RecipeConfig& config, const config::BenchmarkSection& settings) {
  const int64_t steps = config.step_scheduler.max_steps.value_or(settings.warmup_steps + 20);
  if (steps <= settings.warmup_steps)
    throw ConfigError(
        "benchmark.warmup_steps",
        fmt::format("is {}, and the run has {}: none is left to count", settings.warmup_steps, counted(steps, "step")),
        "raise step_scheduler.max_steps");
  return steps;
}

BenchmarkResult describe(const TrainedModel& loaded, const config::BenchmarkSection& settings, int64_t steps) {
  const auto device = loaded.model->device;
  BenchmarkResult result{.model = loaded.folder.given,
                         .bundled_config = loaded.folder.bundled,
                         .random_weights = loaded.random,
                         .device = device.is_cpu() ? "cpu" : device_name(device),
                         .parameters = models::count_parameters(*loaded.model),
                         .trained_parameters = models::count_parameters(*loaded.model, true),
                         .steps = steps - settings.warmup_steps};
  result.peak_tflops = settings.peak_tflops ? settings.peak_tflops : peak_tflops(result.device);
  log_info("benchmark: " + result.model_text());
  log_info(fmt::format("benchmark: {} parameters, {} trained, on {}; {}, the first {} not counted",
                       format_count(static_cast<uint64_t>(result.parameters)),
                       format_count(static_cast<uint64_t>(result.trained_parameters)), result.device,
                       counted(steps, "step"), settings.warmup_steps));
  return result;
}

// The warm-up and the steps that count. Each step's numbers are read when the next one is launched, so that a GPU
// always has work.
void run_counted_steps(BenchmarkResult& result, const TrainedModel& loaded, engine::Engine& engine, Steps& steps,
                       optim::StepGuard& guard, MemoryMeter& meter, int64_t warmup) {
  StepClock clock(engine.model().device);
  LaunchedStep last;
  for (int64_t step = 0; step < warmup + result.steps; ++step) {
    steps.take_next_microbatches();
    const auto began = std::chrono::steady_clock::now();
    auto launched = steps.launch(engine);
    clock.step_launched();
    if (step == 1) meter.stop();  // by then all is there that is kept
    if (step > 1) read_loss(engine, last, guard);
    last = std::move(launched);
    if (step > 0) continue;
    result.first_loss = read_loss(engine, last, guard);
    const std::chrono::duration<double> first = std::chrono::steady_clock::now() - began;
    result.first_step_s = first.count();
    result.start_to_first_step_s = metrics::seconds_since_process_start();
    result.flops_per_token =
        models::training_flops_per_token(loaded.folder.spec, steps.document_tokens(), loaded.lora.has_value());
    log_info(fmt::format("first step finished {:.2f} s after the start of the process", result.start_to_first_step_s));
  }
  result.last_loss = warmup + result.steps > 1 ? read_loss(engine, last, guard) : result.first_loss;
  result.tokens_per_step = last.tokens;
  if (guard.can_skip()) result.skipped_steps = guard.skipped_steps();
  const auto times = clock.milliseconds(warmup);
  result.median_ms = share_of(times, 0.5), result.p95_ms = share_of(times, 0.95);
  result.min_ms = share_of(times, 0), result.max_ms = share_of(times, 1);
}

double measure_host(const TrainedModel& loaded, const engine::Engine& engine, Steps& steps) {
  const auto device = loaded.model->device;
  engine::HostClock host([device] { wait_for(device); });
  engine::Engine waiting(*loaded.model, engine.recompute(), &host);
  std::vector<double> milliseconds;
  for (int64_t i = 0; i < kHostSteps; ++i) {
    host.start();
    steps.launch(waiting);
    milliseconds.push_back(host.milliseconds());
  }
  return share_of(milliseconds, 0.5);
}

// As the counted steps: each one's numbers are read when the next one is launched.
ProfileSummary profile_steps(engine::Engine& engine, Steps& steps, optim::StepGuard& guard, const std::string& trace) {
  Profiler profiler(engine.model().device);
  LaunchedStep last, next;
  for (int64_t i = 0; i < kProfiledSteps; ++i) {
    Profiler::launch([&] { next = steps.launch(engine); });
    if (i > 0) Profiler::read([&] { read_loss(engine, last, guard); });
    last = std::move(next);
  }
  return profiler.finish(kProfiledSteps, trace);
}

// Throws ConfigError for a file that could not be written when all is measured.
void check_output(const std::string& key, const std::filesystem::path& path) {
  if (path.empty()) return;
  const auto refuse = [&](const std::string& why) {
    throw ConfigError(key, fmt::format("'{}' cannot be written: {}", path.string(), why),
                      "name a file in a folder that exists");
  };
  std::error_code none;
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  if (std::filesystem::is_directory(path, none)) refuse("it is a folder");
  if (std::filesystem::exists(path, none) && !std::filesystem::is_regular_file(path, none))
    refuse("it is no ordinary file");  // the trace and the summary are renamed to their place
  if (!std::filesystem::is_directory(folder, none)) refuse("there is no folder " + folder.string());
  if (::access(folder.c_str(), W_OK | X_OK) != 0) refuse(folder.string() + ": " + std::strerror(errno));
  if (std::filesystem::exists(path, none) && ::access(path.c_str(), W_OK) != 0) refuse(std::strerror(errno));
}

void write_summary(BenchmarkResult& result, const std::string& path) {
  try {
    write_file_atomically(path, result.json().dump(2) + "\n");
  } catch (const SystemError& error) {
    result.unsaved.emplace("benchmark.json_output_path",
                           fmt::format("'{}' could not be written: {}", path, error.what()));
  }
}

}  // namespace

BenchmarkResult benchmark(const config::RecipeConfig& given) {
  auto config = given;
  const auto settings = config.benchmark.value_or(config::BenchmarkSection{});
  const int64_t count = steps_of_run(config, settings);
  check_output("benchmark.profile_path (--profile)", settings.profile_path);
  check_output("benchmark.json_output_path", settings.json_output_path);
  config.step_scheduler.max_steps = count;
  set_numerics(config);

  // The model, and ids drawn from its own vocabulary.
  auto loaded = load_trained_model(config);
  const auto& spec = loaded.folder.spec;
  if (config.dataset.kind == "mock") config.dataset.vocab_size = spec.embedding.vocab;
  const auto loader =
      make_loader(open_training_data(config, loaded.tokenizer, spec.max_positions, spec.embedding.vocab));
  const auto device = loaded.model->device;
  auto guard = make_step_guard(config, loaded.folder.dtype, device);
  auto engine = make_engine(loaded, config, guard);
  auto optimizer = make_optimizer(config, loaded.trained_parameters());
  const MemoryAdvisor advisor(config, spec, *loaded.model);
  MemoryMeter meter(engine, optimizer);
  Steps steps(config, *loader, optimizer, guard, advisor);

  auto result = describe(loaded, settings, count);
  run_counted_steps(result, loaded, engine, steps, guard, meter, settings.warmup_steps);
  result.peak_memory_bytes =
      peak_memory_since_last_call(device).value_or(metrics::read_process_memory().peak_resident_bytes);
  result.kept = optim::training_memory(loaded.model->parameters(), optimizer.settings());
  result.memory = meter.report(result.peak_memory_bytes);
  result.recompute = recompute_name(engine.recompute());
  if (!device.is_cpu()) result.host_ms = measure_host(loaded, engine, steps);
  if (!settings.profile_path.empty()) {
    result.profile = profile_steps(engine, steps, guard, settings.profile_path);
    result.unsaved = result.profile->unsaved;
  }
  if (!settings.json_output_path.empty()) write_summary(result, settings.json_output_path);
  return result;
}

Json BenchmarkResult::json() const {
  Json out = {{"model", model},
              {"bundled_config", bundled_config},
              {"random_weights", random_weights},
              {"device", device},
              {"parameters", parameters},
              {"trained_parameters", trained_parameters},
              {"steps", steps},
              {"tokens_per_step", tokens_per_step},
              {"tokens_per_s", tokens_per_second()},
              {"tflops", tflops()},
              {"mfu", mfu() ? Json(*mfu()) : Json()},
              {"peak_tflops", peak_tflops ? Json(*peak_tflops) : Json()},
              {"flops_per_token", flops_per_token},
              {"step_ms", {{"median", median_ms}, {"p95", p95_ms}, {"min", min_ms}, {"max", max_ms}}},
              {"host_ms", host_ms ? Json(*host_ms) : Json()},
              {"first_step_s", first_step_s},
              {"start_to_first_step_s", start_to_first_step_s},
              {"peak_memory_bytes", peak_memory_bytes},
              {"activation_checkpointing", recompute},
              {"memory_bytes", memory ? memory->json()
                                      : Json{{"weights", kept.weights},
                                             {"gradients", kept.gradients},
                                             {"optimizer", kept.optimizer},
                                             {"other", working_bytes()}}},
              {"first_loss", first_loss},
              {"last_loss", last_loss}};
  if (skipped_steps) out["skipped_steps"] = *skipped_steps;
  if (profile) out["profile"] = profile->json();
  return out;
}

std::string BenchmarkResult::model_text() const {
  return fmt::format("{}{}, {} weights", model, bundled_config ? ", by the config.json bundled for this id" : "",
                     random_weights ? "random" : "its own");
}

std::string BenchmarkResult::text() const {
  std::string out = "model        " + model_text() + "\n";
  out += fmt::format("speed        {:.0f} tokens/s, {:.2f} TFLOP/s", tokens_per_second(), tflops());
  if (mfu())
    out += fmt::format(", MFU {:.1f} % of {:g} TFLOP/s", 100 * *mfu(), *peak_tflops);
  else if (device != "cpu")
    out += ", no MFU: unknown GPU (benchmark.peak_tflops says what it can do)";
  out += "\n";
  out += fmt::format("step         median {:.1f} ms, p95 {:.1f}, {:.1f} to {:.1f} over {} of {}{}\n", median_ms, p95_ms,
                     min_ms, max_ms, counted(steps, "step"), counted(tokens_per_step, "token"),
                     host_ms ? fmt::format("; the host alone {:.1f} ms", *host_ms) : "");
  out += fmt::format("start        first step {:.2f} s, finished {:.2f} s after the start of the process\n",
                     first_step_s, start_to_first_step_s);
  out += "memory       " +
         (memory ? memory->text()
                 : fmt::format("{} at most: {}, activations and the program {}", format_bytes(peak_memory_bytes),
                               kept.text(), format_bytes(working_bytes())));
  out += fmt::format("; recomputation: {}\n", recompute);
  out += fmt::format("loss         {:.4f} at first, {:.4f} at last\n", first_loss, last_loss);
  if (skipped_steps)
    out += fmt::format("skipped      {}: their gradients were not finite, nothing was updated\n",
                       counted(*skipped_steps, "step"));
  out += fmt::format("formula      {:.3f} GFLOP a token: {} x parameters of the products + causal attention\n",
                     flops_per_token / 1e9, trained_parameters < parameters ? 4 : 6);
  if (profile) out += profile->text();
  return out;
}

}  // namespace automodel::recipes
