#include "automodel/recipes/benchmark.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/log.h"
#include "automodel/base/text.h"
#include "automodel/engine/host_clock.h"
#include "automodel/kernels/cuda/library.h"
#include "automodel/metrics/process_memory.h"
#include "automodel/models/flops.h"
#include "automodel/optim/step_scheduler.h"
#include "automodel/recipes/device.h"
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

}  // namespace

BenchmarkResult benchmark(const config::RecipeConfig& given) {
  auto config = given;
  const auto settings = config.benchmark.value_or(config::BenchmarkSection{});
  const int64_t steps = config.step_scheduler.max_steps.value_or(settings.warmup_steps + 20);
  if (steps <= settings.warmup_steps)
    throw ConfigError(
        "benchmark.warmup_steps",
        fmt::format("is {}, and the run has {} steps: none is left to count", settings.warmup_steps, steps),
        "raise step_scheduler.max_steps");
  config.step_scheduler.max_steps = steps;
  const optim::StepScheduler scheduler(config.step_scheduler, 1, std::nullopt);

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
  optim::Adam optimizer(loaded.trained_parameters(),
                        optim::make_adam_settings(config.optimizer, static_cast<uint64_t>(config.seed)));

  BenchmarkResult result{.device = device.is_cpu() ? "cpu" : kernels::load_cuda().gpus.front().name,
                         .parameters = models::count_parameters(*loaded.model),
                         .trained_parameters = models::count_parameters(*loaded.model, true),
                         .steps = steps - settings.warmup_steps,
                         .peak_tflops = settings.peak_tflops};
  log_info(fmt::format("benchmark: {} parameters, {} trained, on {}; {} steps, the first {} not counted",
                       format_count(static_cast<uint64_t>(result.parameters)),
                       format_count(static_cast<uint64_t>(result.trained_parameters)), result.device, steps,
                       settings.warmup_steps));
  const MemoryAdvisor advisor(config, spec, *loaded.model);
  MemoryMeter meter(engine, optimizer);
  StepClock clock(device);
  const auto next = [&](int64_t step) {
    auto microbatches = loader->next_group(scheduler.grad_acc_steps());
    if (microbatches.empty()) throw DataError("dataset", fmt::format("ended after {} of {} steps", step, steps));
    return microbatches;
  };
  const auto launch = [&](engine::Engine& engine, const std::vector<Batch>& microbatches, int64_t step) {
    return train_step(engine, optimizer, guard, microbatches,
                      {.seed = static_cast<uint64_t>(config.seed),
                       .step = step,
                       .lr = config.optimizer.lr,
                       .weight_decay = config.optimizer.weight_decay,
                       .advisor = &advisor});
  };
  LaunchedStep last;
  for (int64_t step = 0; step < steps; ++step) {
    const auto microbatches = next(step);
    const auto began = std::chrono::steady_clock::now();
    last = launch(engine, microbatches, step);
    clock.step_launched();
    if (step == 1) meter.stop();  // by then all is there that is kept
    if (step == 0) {
      result.first_loss = read_step(engine, last, guard).loss;
      const std::chrono::duration<double> first = std::chrono::steady_clock::now() - began;
      result.first_step_s = first.count();
      result.start_to_first_step_s = metrics::seconds_since_process_start();
      result.flops_per_token =
          models::training_flops_per_token(spec, microbatches.front().longest(), loaded.lora.has_value());
      log_info(
          fmt::format("first step finished {:.2f} s after the start of the process", result.start_to_first_step_s));
    }
  }
  const auto numbers = read_step(engine, last, guard);
  const auto times = clock.milliseconds(settings.warmup_steps);
  result.last_loss = numbers.loss;
  result.tokens_per_step = last.tokens;
  result.median_ms = share_of(times, 0.5), result.p95_ms = share_of(times, 0.95);
  result.min_ms = share_of(times, 0), result.max_ms = share_of(times, 1);
  result.peak_memory_bytes =
      peak_memory_since_last_call(device).value_or(metrics::read_process_memory().peak_resident_bytes);
  result.kept = optim::training_memory(loaded.model->parameters(), optimizer.settings());
  result.memory = meter.report(result.peak_memory_bytes);
  result.recompute = recompute_name(engine.recompute());
  int64_t further = steps;
  if (!device.is_cpu()) {
    engine::HostClock host([device] { wait_for(device); });
    engine::Engine waiting(*loaded.model, engine.recompute(), &host);
    std::vector<double> host_ms;
    for (; further < steps + kHostSteps; ++further) {
      const auto microbatches = next(further);
      host.start();
      launch(waiting, microbatches, further);
      host_ms.push_back(host.milliseconds());
    }
    result.host_ms = share_of(host_ms, 0.5);
  }
  if (!settings.profile_path.empty()) {
    Profiler profiler(device);
    for (int64_t i = 0; i < kProfiledSteps; ++i, ++further) launch(engine, next(further), further);
    result.profile = profiler.finish(kProfiledSteps, settings.profile_path);
  }
  if (!settings.json_output_path.empty())
    write_file_atomically(settings.json_output_path, result.json().dump(2) + "\n");
  return result;
}

Json BenchmarkResult::json() const {
  Json out = {{"device", device},
              {"parameters", parameters},
              {"trained_parameters", trained_parameters},
              {"steps", steps},
              {"tokens_per_step", tokens_per_step},
              {"tokens_per_s", tokens_per_second()},
              {"tflops", tflops()},
              {"mfu", mfu()},
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
  if (profile) out["profile"] = profile->json();
  return out;
}

std::string BenchmarkResult::text() const {
  std::string out = fmt::format("speed        {:.0f} tokens/s, {:.2f} TFLOP/s", tokens_per_second(), tflops());
  if (device != "cpu") out += fmt::format(", MFU {:.1f} % of {:.0f} TFLOP/s", 100 * mfu(), peak_tflops);
  out += "\n";
  out += fmt::format("step         median {:.1f} ms, p95 {:.1f}, {:.1f} to {:.1f} over {} steps of {} tokens{}\n",
                     median_ms, p95_ms, min_ms, max_ms, steps, tokens_per_step,
                     host_ms ? fmt::format("; the host alone {:.1f} ms", *host_ms) : "");
  out += fmt::format("start        first step {:.2f} s, finished {:.2f} s after the start of the process\n",
                     first_step_s, start_to_first_step_s);
  out += "memory       " +
         (memory ? memory->text()
                 : fmt::format("{} at most: {}, activations and the program {}", format_bytes(peak_memory_bytes),
                               kept.text(), format_bytes(working_bytes())));
  out += fmt::format("; recomputation: {}\n", recompute);
  out += fmt::format("loss         {:.4f} at first, {:.4f} at last\n", first_loss, last_loss);
  out += fmt::format("formula      {:.3f} GFLOP a token: {} x parameters of the products + causal attention\n",
                     flops_per_token / 1e9, trained_parameters < parameters ? 4 : 6);
  if (profile) out += profile->text();
  return out;
}

}  // namespace automodel::recipes
