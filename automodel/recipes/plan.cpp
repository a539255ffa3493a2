#include "automodel/recipes/plan.h"

#include <c10/core/ScalarType.h>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/optim/memory.h"
#include "automodel/optim/step_scheduler.h"
#include "automodel/recipes/data_setup.h"
#include "automodel/recipes/model_setup.h"
#include "automodel/recipes/token_data.h"
#include "automodel/tensor/dtype.h"

namespace automodel::recipes {

// What the graphs of one microbatch of T tokens keep, in values a token; see the saved tensors of kernels/.
static uint64_t activation_bytes(const models::DecoderSpec& spec, int64_t T, size_t element, bool recompute) {
  const auto H = spec.embedding.hidden;
  const auto of_layer = [&](const nn::LayerSpec& layer) {
    const auto& a = layer.attention;
    const int64_t q = a.heads * a.head_dim, kv = a.kv_heads * a.head_dim;
    const int64_t qkv = (q + 2 * kv) * (a.qk_norm ? 2 : 1),
                  inner = layer.mlp.in.rows.size() > 1 || layer.mlp.gated ? 3 : 2;
    int64_t rows = 0;
    for (const int64_t r : layer.mlp.out.rows) rows += r;
    // Dropout on the probabilities needs them whole: scores, probabilities and mask of every pair of tokens.
    const int64_t pairs = a.dropout > 0 ? 3 * a.heads * std::min(T, spec.max_positions) : 0;
    return 5 * H + qkv + 2 * q + inner * layer.mlp.out.in + rows + pairs;
  };
  int64_t values = 2 * H;  // embedding and head
  int64_t largest = 0;
  for (const auto& layer : spec.layers) {
    values += recompute ? H : of_layer(layer);
    largest = std::max(largest, of_layer(layer));
  }
  if (recompute) values += largest;
  const uint64_t logits_chunk = uint64_t{32} << 20;
  return static_cast<uint64_t>(T) * static_cast<uint64_t>(values) * element + logits_chunk;
}

static void plan_model(Plan& plan, const config::RecipeConfig& config, const ModelFolder& folder) {
  auto model = models::build(folder.spec, folder.dtype);
  if (config.peft) peft::apply_lora(*model, make_lora_options(*config.peft));
  for (const auto& parameter : model->parameters()) {
    plan.parameters += parameter->numel();
    if (parameter->trainable) plan.trained_parameters += parameter->numel();
  }
  const auto memory = optim::training_memory(model->parameters(), optim::make_adam_settings(config.optimizer));
  plan.weight_bytes = memory.weights, plan.gradient_bytes = memory.gradients, plan.optimizer_bytes = memory.optimizer;
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

static void plan_data(Plan& plan, const config::RecipeConfig& config, const ModelFolder& folder) {
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
  if (needs_tokenizer(config)) tokenizer = tokenizer::load(find_tokenizer_folder(config, folder));
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
}

Plan plan(const config::RecipeConfig& config) {
  Plan plan;
  const auto folder = open_model_folder(config.model, net::ModelFiles::Tokenizer);
  plan.model_type = folder.family->model_type;
  plan.dtype = dtype_name(folder.dtype);
  plan_model(plan, config, folder);
  plan_data(plan, config, folder);
  plan.activation_bytes = activation_bytes(folder.spec, plan.microbatch_tokens, c10::elementSize(folder.dtype),
                                           config.distributed.activation_checkpointing != "false");
  return plan;
}

Json Plan::json() const {
  return {{"model_type", model_type},
          {"dtype", dtype},
          {"parameters", parameters},
          {"trained_parameters", trained_parameters},
          {"memory_bytes",
           {{"weights", weight_bytes},
            {"gradients", gradient_bytes},
            {"optimizer", optimizer_bytes},
            {"activations", activation_bytes},
            {"total", total_bytes()}}},
          {"rows", rows},
          {"trained_share", trained_share},
          {"microbatch_tokens", microbatch_tokens},
          {"grad_acc_steps", grad_acc_steps},
          {"tokens_per_step", tokens_per_step},
          {"steps_per_epoch", steps_per_epoch ? Json(*steps_per_epoch) : Json()},
          {"total_steps", total_steps ? Json(*total_steps) : Json()},
          {"steps_counted", steps_counted}};
}

std::string Plan::text() const {
  const auto count = [](int64_t n) { return format_count(static_cast<uint64_t>(n)); };
  std::string out = fmt::format(
      "model        {}, {}, {} parameters, {} trained ({:.2f} %)\n", model_type, dtype, count(parameters),
      count(trained_parameters),
      100.0 * static_cast<double>(trained_parameters) / static_cast<double>(std::max<int64_t>(1, parameters)));
  out += fmt::format("memory       weights {}, gradients {}, optimizer {}, activations {}: {} in all\n",
                     format_bytes(weight_bytes), format_bytes(gradient_bytes), format_bytes(optimizer_bytes),
                     format_bytes(activation_bytes), format_bytes(total_bytes()));
  out += fmt::format("data         {} rows, about {:.0f} % of the tokens are trained\n", rows, 100 * trained_share);
  out += fmt::format("batch        {} microbatches of about {} tokens: {} tokens a step\n", grad_acc_steps,
                     microbatch_tokens, tokens_per_step);
  out += steps_counted ? fmt::format("steps        {} in the first epoch, {} in all (counted)",
                                     steps_per_epoch.value_or(0), total_steps.value_or(0))
                       : fmt::format("steps        about {} an epoch, {} in all (estimated from {} of {} rows)",
                                     steps_per_epoch.value_or(0), total_steps.value_or(0), rows_sampled, rows);
  return out;
}

}  // namespace automodel::recipes
