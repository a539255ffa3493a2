#include "automodel/recipes/memory_plan.h"

#include <c10/core/CachingDeviceAllocator.h>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/recipes/data_kinds.h"
#include "automodel/recipes/device.h"
#include "automodel/recipes/sample_length.h"

namespace automodel::recipes {

using models::MicrobatchShape;
using nn::Recompute;

static constexpr Recompute kChoices[] = {Recompute::None, Recompute::Selective, Recompute::Full};

const RecomputeChoice& MemoryPlan::choice(Recompute recompute) const {
  return choices.at(static_cast<size_t>(recompute));
}

uint64_t MemoryPlan::total(Recompute recompute) const { return kept.total() + choice(recompute).activations.total(); }

std::optional<Recompute> MemoryPlan::fastest_in(uint64_t bytes) const {
  const RecomputeChoice* best = nullptr;
  for (const auto& choice : choices)
    if (total(choice.recompute) <= bytes && (!best || choice.relative_time < best->relative_time)) best = &choice;
  return best ? std::optional(best->recompute) : std::nullopt;
}

std::optional<MicrobatchShape> known_microbatch(const config::RecipeConfig& config, int64_t max_positions) {
  const int64_t rows = config.step_scheduler.local_batch_size, pack = config.packed_sequence.packed_sequence_size;
  if (config.dataset.kind == "mock" && (pack == 0 || pack == config.dataset.seq_len))
    return MicrobatchShape{rows * longest_document(config, max_positions), longest_document(config, max_positions)};
  if (pack > 0) return MicrobatchShape{rows * pack, longest_document(config, max_positions)};
  return std::nullopt;
}

MicrobatchShape sampled_microbatch(const config::RecipeConfig& config, const data::EpochEstimate& estimate) {
  const int64_t rows = config.step_scheduler.local_batch_size;
  return {rows * estimate.longest_row, estimate.longest_row};
}

// The adapters' copies beside the weights that they adapt, where they are columns of one product.
static uint64_t room_for_adapters(const nn::Model& model) {
  int64_t values = 0;
  for (nn::Linear* linear : model.linears()) {
    const auto& shape = linear->op->view().weight->shape();
    if (const int64_t room = linear->op->keeps(model.device).room; room > 0)
      values += room * (shape[0] + shape[1] + room);
  }
  return static_cast<uint64_t>(values) * c10::elementSize(model.embedding->weight()->dtype());
}

MemoryPlan plan_memory(const models::DecoderSpec& spec, const nn::Model& model, const optim::AdamSettings& settings,
                       const MicrobatchShape& microbatch) {
  MemoryPlan plan{optim::training_memory(model.parameters(), settings), microbatch, {}};
  plan.kept.weights += room_for_adapters(model);
  for (const auto recompute : kChoices)
    plan.choices.push_back({recompute, models::activation_memory(spec, model, microbatch, recompute),
                            models::relative_step_time(spec, model, microbatch.document_tokens, recompute)});
  return plan;
}

uint64_t without_pieces(uint64_t bytes) { return bytes - bytes / 50; }

std::string free_text(const AvailableMemory& available) {
  if (available.safe == available.bytes) return format_bytes(available.bytes) + " are free";
  return fmt::format("{} of {} that are free may be filled", format_bytes(available.safe),
                     format_bytes(available.bytes));
}

std::optional<AvailableMemory> available_memory(const config::RecipeConfig& config, at::Device device) {
  constexpr uint64_t kLibraries = uint64_t{768} << 20;  // CUDA's context and the kernels of cuBLAS and cuDNN
  std::optional<AvailableMemory> available;
  if (const auto limit = config.distributed.memory_limit_gib) {
    const auto bytes = static_cast<uint64_t>(*limit * static_cast<double>(uint64_t{1} << 30));
    available = {bytes, bytes};
  }
  if (device.is_cpu() || !is_here(device)) return available;
  const uint64_t free = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).first;
  const uint64_t safe = std::max(kLibraries, without_pieces(free)) - kLibraries;
  if (!available) return AvailableMemory{free, safe};
  return AvailableMemory{std::min(free, available->bytes), std::min(safe, available->safe)};
}

std::optional<Recompute> asked_recompute(const config::RecipeConfig& config) {
  const auto& asked = config.distributed.activation_checkpointing;
  if (asked == "auto") return std::nullopt;
  if (asked == "selective") return Recompute::Selective;
  return asked == "full" || asked == "true" ? Recompute::Full : Recompute::None;
}

Recompute automatic_recompute(const MemoryPlan& plan, const std::optional<AvailableMemory>& available) {
  return available ? plan.fastest_in(available->safe).value_or(Recompute::Full) : Recompute::None;
}

std::string recompute_name(Recompute recompute) {
  return recompute == Recompute::None ? "none" : recompute == Recompute::Selective ? "selective" : "full";
}

MemoryAdvisor::MemoryAdvisor(const config::RecipeConfig& config, models::DecoderSpec spec, const nn::Model& model)
    : local_batch_size_(config.step_scheduler.local_batch_size),
      global_batch_size_(config.step_scheduler.global_batch_size),
      length_key_(length_key(config)),
      adapters_(config.peft.has_value()),
      settings_(optim::make_adam_settings(config.optimizer, static_cast<uint64_t>(config.seed))),
      spec_(std::move(spec)),
      model_(model) {}

MemoryPlan MemoryAdvisor::plan(const MicrobatchShape& microbatch) const {
  return plan_memory(spec_, model_, settings_, microbatch);
}

uint64_t MemoryAdvisor::total(const MicrobatchShape& microbatch, Recompute recompute,
                              const optim::AdamSettings& settings) const {
  return plan_memory(spec_, model_, settings, microbatch).total(recompute);
}

static optim::AdamSettings small_states(optim::AdamSettings settings) {
  settings.state_dtype = at::kBFloat16;
  return settings;
}

static optim::AdamSettings split_masters(optim::AdamSettings settings) {
  settings.master_weights = optim::Master::Split;
  return settings;
}

// The microbatch of fewer rows.
static MicrobatchShape of_rows(const MicrobatchShape& whole, int64_t rows, int64_t of) {
  return {whole.tokens / of * rows, whole.document_tokens};
}

std::vector<std::string> MemoryAdvisor::single_changes(const MicrobatchShape& microbatch, Recompute now,
                                                       uint64_t available) const {
  std::vector<std::string> changes;
  const auto fits = [&](const std::string& change, const MicrobatchShape& shape, Recompute recompute,
                        const optim::AdamSettings& settings) {
    const uint64_t bytes = total(shape, recompute, settings);
    if (bytes <= available) changes.push_back(fmt::format("{} ({})", change, format_bytes(bytes)));
    return bytes <= available;
  };
  for (const auto recompute : kChoices)
    if (recompute > now &&
        fits("distributed.activation_checkpointing: " + recompute_name(recompute), microbatch, recompute, settings_))
      break;
  for (int64_t rows = local_batch_size_ - 1; rows > 0; --rows)
    if (global_batch_size_ % rows == 0 && fits(fmt::format("step_scheduler.local_batch_size: {}", rows),
                                               of_rows(microbatch, rows, local_batch_size_), now, settings_))
      break;
  const int64_t longest = microbatch.tokens / std::max<int64_t>(1, local_batch_size_);
  for (int64_t eighths = 7; eighths > 0 && !length_key_.empty(); --eighths)
    if (const int64_t tokens = longest * eighths / 8;
        tokens > 1 && fits(fmt::format("{}: {}", length_key_, tokens),
                           {tokens * local_batch_size_, std::min(tokens, microbatch.document_tokens)}, now, settings_))
      break;
  if (const auto less = split_masters(settings_);
      model_.embedding->weight()->dtype() == at::kBFloat16 &&
      settings_.master_weights.value_or(optim::Master::Full) == optim::Master::Full &&
      total(microbatch, now, less) < total(microbatch, now, settings_))
    fits("optimizer.master_weights: split, with the same numbers", microbatch, now, less);
  if (const auto less = small_states(settings_);
      !adapters_ && total(microbatch, now, less) < total(microbatch, now, settings_))
    fits("optimizer.state_dtype: bfloat16", microbatch, now, less);
  return changes;
}

std::string MemoryAdvisor::what_fits(const MicrobatchShape& microbatch, Recompute now, uint64_t available) const {
  if (const auto changes = single_changes(microbatch, now, available); !changes.empty())
    return "one of these fits: " + join(changes, "; ");
  const auto shape = of_rows(microbatch, 1, local_batch_size_);
  const uint64_t least = total(shape, Recompute::Full, adapters_ ? settings_ : small_states(settings_));
  std::string together = "distributed.activation_checkpointing: full";
  if (local_batch_size_ > 1) together += ", step_scheduler.local_batch_size: 1";
  if (!adapters_) together += ", optimizer.state_dtype: bfloat16";
  return fmt::format("{} together take {}, which {}{}", together, format_bytes(least),
                     least <= available ? "fits" : "is still too much: take shorter sequences or another device",
                     adapters_ ? "" : "; training adapters instead of all weights (peft:) takes far less");
}

std::optional<SystemError> MemoryAdvisor::shortage(const MicrobatchShape& microbatch, Recompute recompute,
                                                   const AvailableMemory& available, const std::string& device) const {
  const auto plan = this->plan(microbatch);
  if (plan.total(recompute) <= available.safe) return std::nullopt;
  const auto& activations = plan.choice(recompute).activations;
  std::string needed =
      fmt::format("{} are needed, {}: {}", format_bytes(plan.total(recompute)), free_text(available), plan.kept.text());
  if (microbatch.tokens > 0)
    needed +=
        fmt::format(", activations {} and workspace {} for a microbatch of {} tokens (activation_checkpointing: {})",
                    format_bytes(activations.kept), format_bytes(activations.passing), microbatch.tokens,
                    recompute_name(recompute));
  return SystemError(device, needed, what_fits(microbatch, recompute, available.safe));
}

}  // namespace automodel::recipes
