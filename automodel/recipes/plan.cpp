#include "automodel/recipes/plan.h"

#include "automodel/base/counted.h"
#include "automodel/base/error.h"
#include "automodel/base/host_memory.h"
#include "automodel/base/text.h"
#include "automodel/optim/step_scheduler.h"
#include "automodel/recipes/data_setup.h"
#include "automodel/recipes/device.h"
#include "automodel/recipes/model_setup.h"
#include "automodel/recipes/sample_length.h"
#include "automodel/recipes/token_data.h"
#include "automodel/tensor/dtype.h"

namespace automodel::recipes {

static std::unique_ptr<nn::Model> plan_model(Plan& plan, const config::RecipeConfig& config,
                                             const ModelFolder& folder) {
  auto model = models::build(folder.spec, folder.dtype);
  model->device = plan.device = planned_device(config.device, "device");
  if (is_here(plan.device)) plan.device_name = device_name(plan.device);
  if (config.peft) peft::apply_lora(*model, make_lora_options(*config.peft));
  refuse_float64(*model, plan.device);
  for (const auto& parameter : model->parameters()) {
    plan.parameters += parameter->numel();
    if (parameter->trainable) plan.trained_parameters += parameter->numel();
  }
  return model;
}

// Rows are read and tokenised to count their packs if that takes a few seconds at most; packs differ from epoch to
// epoch, as the order does.
static void plan_steps(Plan& plan, const config::RecipeConfig& config, const data::Loader& loader,
                       const data::EpochEstimate& estimate) {
  constexpr int64_t kRowsCounted = 20'000;
  const auto steps_of = [&](int64_t microbatches) {
    return (microbatches + plan.grad_acc_steps - 1) / plan.grad_acc_steps;
  };
  const auto& scheduler = config.step_scheduler;
  const int64_t epochs = scheduler.num_epochs;
  plan.rows_sampled = estimate.rows_read;
  plan.steps_per_epoch = steps_of(estimate.microbatches);
  plan.total_steps = *plan.steps_per_epoch * epochs;
  if (loader.endless() || is_token_data(config.dataset.kind)) return;
  if (const auto known = loader.microbatches_per_epoch()) {
    plan.steps_per_epoch = steps_of(*known), plan.total_steps = *plan.steps_per_epoch * epochs;
    plan.steps_counted = true;
    return;
  }
  const int64_t wanted = std::min(scheduler.max_steps.value_or(*plan.total_steps), *plan.total_steps),
                epochs_read = std::min(epochs, wanted / std::max<int64_t>(1, *plan.steps_per_epoch) + 2);
  if (estimate.rows * epochs_read > kRowsCounted) return;
  plan.total_steps = 0;
  for (int64_t epoch = 0; epoch < epochs; ++epoch) {
    if (scheduler.max_steps && *plan.total_steps >= *scheduler.max_steps) break;
    const int64_t steps = steps_of(loader.count_microbatches(epoch));
    if (epoch == 0) plan.steps_per_epoch = steps;
    *plan.total_steps += steps;
  }
  plan.steps_counted = true;
}

// Returns the largest microbatch.
static models::MicrobatchShape plan_data(Plan& plan, const config::RecipeConfig& config, const ModelFolder& folder) {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  if (needs_tokenizer(config)) {
    const auto place = find_tokenizer_folder(config, folder);
    tokenizer = tokenizer::load(place);
    if (const auto fault = find_vocabulary_fault(*tokenizer, place, folder.spec)) throw *fault;
  }
  const auto loader =
      make_loader(open_training_data(config, tokenizer, folder.spec.max_positions, folder.spec.embedding.vocab));
  const auto estimate = loader->estimate_epoch();
  if (estimate.rows == 0)
    throw DataError("dataset", "none of its sources has rows",
                    "are the files empty, or the splits or limits too small?");
  const auto& scheduler = config.step_scheduler;
  plan.rows = estimate.rows;
  plan.trained_share = estimate.trained_share;
  plan.grad_acc_steps = optim::StepScheduler(scheduler, 1, estimate.microbatches).grad_acc_steps();
  const int64_t pack = config.packed_sequence.packed_sequence_size;
  plan.microbatch_tokens =
      pack > 0 ? pack * scheduler.local_batch_size
               : static_cast<int64_t>(estimate.tokens_per_row * static_cast<double>(scheduler.local_batch_size));
  plan.tokens_per_step = plan.microbatch_tokens * plan.grad_acc_steps;
  plan_steps(plan, config, *loader, estimate);
  if (scheduler.max_steps)
    plan.total_steps = loader->endless() ? *scheduler.max_steps : std::min(*plan.total_steps, *scheduler.max_steps);
  return known_microbatch(config, folder.spec.max_positions).value_or(sampled_microbatch(config, estimate));
}

Plan plan(const config::RecipeConfig& config) {
  Plan plan;
  const auto folder = open_model_folder(config, net::ModelFiles::Tokenizer, true);
  plan.recipe = config.recipe;
  plan.has_benchmark = config.benchmark && config.recipe != "benchmark";
  plan.bundled_config = folder.bundled;
  plan.model_type = folder.family->model_type;
  plan.dtype = dtype_name(folder.dtype);
  tell_lengths(config, folder.spec);
  const auto model = plan_model(plan, config, folder);
  const auto largest = plan_data(plan, config, folder);
  plan.pairs_kept = models::why_pairs_are_kept(folder.spec, *model);
  plan.length_known = known_microbatch(config, folder.spec.max_positions).has_value();
  const MemoryAdvisor advisor(config, folder.spec, *model);
  plan.memory = advisor.plan(largest);
  plan.available = available_memory(config, model->device);
  if (!plan.available && plan.device.is_cpu()) plan.host_free_bytes = free_host_memory();
  plan.recompute = asked_recompute(config).value_or(automatic_recompute(plan.memory, plan.available));
  if (!plan.fits())
    plan.advice = advisor.what_fits(largest, plan.recompute, plan.available->safe, plan.available->is_limit);
  return plan;
}

Json Plan::json() const {
  Json choices;
  for (const auto& choice : memory.choices)
    choices[recompute_name(choice.recompute)] = {{"activations", choice.activations.kept},
                                                 {"workspace", choice.activations.passing},
                                                 {"total", memory.total(choice.recompute)},
                                                 {"relative_time", choice.relative_time}};
  return {{"recipe", recipe},
          {"bundled_config", bundled_config},
          {"model_type", model_type},
          {"dtype", dtype},
          {"device", device.is_cpu() ? "cpu" : "cuda"},
          {"device_name", device_name.empty() ? Json() : Json(device_name)},
          {"held_to_limit", held_to_limit()},
          {"host_free_bytes", host_free_bytes ? Json(*host_free_bytes) : Json()},
          {"parameters", parameters},
          {"trained_parameters", trained_parameters},
          {"memory_bytes",
           {{"weights", memory.kept.weights},
            {"gradients", memory.kept.gradients},
            {"optimizer", memory.kept.optimizer},
            {"activations", memory.choice(recompute).activations.kept},
            {"workspace", memory.choice(recompute).activations.passing},
            {"total", total_bytes()}}},
          {"available_bytes", available ? Json(available->bytes) : Json()},
          {"usable_bytes", available ? Json(available->safe) : Json()},
          {"fits", available ? Json(fits()) : Json()},
          {"advice", advice.empty() ? Json() : Json(advice)},
          {"activation_checkpointing", recompute_name(recompute)},
          {"choices", choices},
          {"pairs_kept", pairs_kept.empty() ? Json() : Json(pairs_kept)},
          {"largest_microbatch_tokens", memory.microbatch.tokens},
          {"rows", rows},
          {"trained_share", trained_share},
          {"microbatch_tokens", microbatch_tokens},
          {"grad_acc_steps", grad_acc_steps},
          {"tokens_per_step", tokens_per_step},
          {"steps_per_epoch", steps_per_epoch ? Json(*steps_per_epoch) : Json()},
          {"total_steps", total_steps ? Json(*total_steps) : Json()},
          {"steps_counted", steps_counted}};
}

static std::string device_text(const Plan& plan) {
  const std::string limit = plan.held_to_limit() ? ", held to distributed.memory_limit_gib" : "";
  if (plan.device.is_cpu()) {
    std::string out = "device       CPU" + limit;
    if (const auto free = plan.host_free_bytes)
      out += fmt::format(", {} of its memory are free: {}", format_bytes(*free),
                         *free < plan.total_bytes() ? "the system may end this run" : "enough");
    return out + " (device: cuda counts as on a GPU)\n";
  }
  std::string out =
      "device       " +
      (plan.device_name.empty() ? "a GPU, and none is here (counted as an H100 or H200)" : plan.device_name) + limit;
  if (plan.available) return out + "\n";
  return out + ": distributed.memory_limit_gib says what may be filled\n";
}

static std::string fit_text(const Plan& plan) {
  if (!plan.available) return "";
  const auto& [bytes, safe, is_limit] = *plan.available;
  std::string out = (is_limit ? "limit        " : "free         ") + format_bytes(bytes);
  if (safe < bytes) out += fmt::format(", of which tensors may fill {}", format_bytes(safe));
  out += ": ";
  if (!plan.fits()) {
    out += "does not fit";
    if (!plan.length_known) out += fmt::format(", by the longest of {}", counted(plan.rows_sampled, "row"));
    return out + ": " + plan.advice + "\n";
  }
  return out + fmt::format("fits, {} are left\n", format_bytes(safe - plan.total_bytes()));
}

std::string Plan::text() const {
  const auto count = [](int64_t n) { return format_count(static_cast<uint64_t>(n)); };
  std::string out = "recipe       " + recipe;
  if (has_benchmark) out += "; --recipe benchmark plans what `automodel benchmark llm` makes of its benchmark section";
  out += fmt::format(
      "\nmodel        {}{}, {}, {} parameters, {} trained ({:.2f} %)\n", model_type,
      bundled_config ? " by the config.json bundled for this id" : "", dtype, count(parameters),
      count(trained_parameters),
      100.0 * static_cast<double>(trained_parameters) / static_cast<double>(std::max<int64_t>(1, parameters)));
  out += device_text(*this);
  out += fmt::format("memory       {}, activations {}, workspace {}: {} in all\n", memory.kept.text(),
                     format_bytes(memory.choice(recompute).activations.kept),
                     format_bytes(memory.choice(recompute).activations.passing), format_bytes(total_bytes()));
  for (const auto& choice : memory.choices)
    out += fmt::format("{}   {:10} activations {}, workspace {}: {} in all, {:.2f}x the time of a step\n",
                       choice.recompute == recompute ? "recompute *" : "           ", recompute_name(choice.recompute),
                       format_bytes(choice.activations.kept), format_bytes(choice.activations.passing),
                       format_bytes(memory.total(choice.recompute)), choice.relative_time);
  if (!pairs_kept.empty())
    out += fmt::format("attention    keeps all pairs of tokens of a document: no fused kernel takes it ({})\n",
                       pairs_kept);
  out += fit_text(*this);
  out += fmt::format("data         {}, about {:.0f} % of the tokens are trained\n", counted(rows, "row"),
                     100 * trained_share);
  out += fmt::format("batch        {} of about {}: {} a step\n", counted(grad_acc_steps, "microbatch", "microbatches"),
                     counted(microbatch_tokens, "token"), counted(tokens_per_step, "token"));
  out += steps_counted
             ? fmt::format("steps        {} in the first epoch, {} in all (counted)", steps_per_epoch.value_or(0),
                           total_steps.value_or(0))
             : fmt::format("steps        about {} an epoch, {} in all (estimated from {} of {})",
                           steps_per_epoch.value_or(0), total_steps.value_or(0), rows_sampled, counted(rows, "row"));
  return out;
}

}  // namespace automodel::recipes
