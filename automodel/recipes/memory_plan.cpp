#include "automodel/recipes/memory_plan.h"

#include <c10/core/CachingDeviceAllocator.h>

#include <functional>

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
  if (available.is_limit) return "distributed.memory_limit_gib allows " + format_bytes(available.bytes);
  if (available.safe == available.bytes) return format_bytes(available.bytes) + " are free";
  return fmt::format("{} of {} that are free may be filled", format_bytes(available.safe),
                     format_bytes(available.bytes));
}

std::optional<AvailableMemory> available_memory(const config::RecipeConfig& config, at::Device device) {
  constexpr uint64_t kLibraries = uint64_t{768} << 20;  // CUDA's context and the kernels of cuBLAS and cuDNN
  std::optional<AvailableMemory> available;
  if (const auto limit = config.distributed.memory_limit_gib) {
    const auto bytes = static_cast<uint64_t>(*limit * static_cast<double>(uint64_t{1} << 30));
    available = {bytes, bytes, true};
  }
  if (device.is_cpu() || !is_here(device)) return available;
  const uint64_t free = at::getDeviceAllocator(device.type())->getMemoryInfo(device.index()).first;
  const uint64_t safe = std::max(kLibraries, without_pieces(free)) - kLibraries;
  return available && available->bytes <= safe ? *available : AvailableMemory{free, safe};
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

// The largest share of a length, in eighths, that `fits` takes; 0 if none or if no key says the length.
static int64_t shorter(const std::string& key, int64_t longest, const std::function<bool(int64_t)>& fits) {
  for (int64_t eighths = 7; eighths > 0 && !key.empty(); --eighths)
    if (const int64_t tokens = longest * eighths / 8; tokens > 1 && fits(tokens)) return tokens;
  return 0;
}

// Documents of fewer tokens, or packs, as many of them.
static MicrobatchShape of_length(const MicrobatchShape& whole, int64_t tokens, int64_t rows) {
  return {tokens * rows, std::min(tokens, whole.document_tokens)};
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
  shorter(length_key_, microbatch.tokens / std::max<int64_t>(1, local_batch_size_), [&](int64_t tokens) {
    return fits(fmt::format("{}: {}", length_key_, tokens), of_length(microbatch, tokens, local_batch_size_), now,
                settings_);
  });
  if (const auto less = split_masters(settings_);
      can_split(settings_) && total(microbatch, now, less) < total(microbatch, now, settings_))
    fits("optimizer.master_weights: split, with the same numbers", microbatch, now, less);
  if (const auto less = small_states(settings_);
      !adapters_ && total(microbatch, now, less) < total(microbatch, now, settings_))
    fits("optimizer.state_dtype: bfloat16", microbatch, now, less);
  return changes;
}

bool MemoryAdvisor::can_split(const optim::AdamSettings& settings) const {
  return model_.embedding->weight()->dtype() == at::kBFloat16 &&
         settings.master_weights.value_or(optim::Master::Full) == optim::Master::Full;
}

void MemoryAdvisor::take_if_less(Changed& best, Changed changed, const std::string& change) const {
  changed.bytes = total(changed.microbatch, changed.recompute, changed.settings);
  if (changed.bytes >= best.bytes) return;
  changed.changes.push_back(change);
  best = std::move(changed);
}

MemoryAdvisor::Changed MemoryAdvisor::all_changes(const MicrobatchShape& microbatch, Recompute now,
                                                  uint64_t available) const {
  Changed best{microbatch, local_batch_size_, now, settings_, total(microbatch, now, settings_), {}};
  Changed again = best;
  for (const auto recompute : kChoices)
    if (recompute > now && total(microbatch, recompute, settings_) < total(microbatch, again.recompute, settings_))
      again.recompute = recompute;
  take_if_less(best, again, "distributed.activation_checkpointing: " + recompute_name(again.recompute));
  Changed few = best;
  few.rows = 1, few.microbatch = of_rows(microbatch, 1, local_batch_size_);
  take_if_less(best, few, "step_scheduler.local_batch_size: 1");
  Changed small = best;
  small.settings = small_states(best.settings);
  if (!adapters_) take_if_less(best, small, "optimizer.state_dtype: bfloat16");
  Changed split = best;
  split.settings = split_masters(best.settings);
  if (can_split(best.settings)) take_if_less(best, split, "optimizer.master_weights: split");
  if (best.bytes <= available) return best;
  Changed cut = best;
  const int64_t tokens =
      shorter(length_key_, best.microbatch.tokens / std::max<int64_t>(1, best.rows), [&](int64_t length) {
        cut.microbatch = of_length(best.microbatch, length, best.rows);
        return total(cut.microbatch, cut.recompute, cut.settings) <= available;
      });
  if (tokens > 0) take_if_less(best, cut, fmt::format("{}: {}", length_key_, tokens));
  return best;
}

// What no batch is small enough for, or that shorter documents are what is left.
std::string MemoryAdvisor::why_too_much(const Changed& least, uint64_t available, bool is_limit) const {
  const auto kept = plan_memory(spec_, model_, least.settings, least.microbatch).kept;
  const std::string device = is_limit ? "raise distributed.memory_limit_gib" : "take a device with more memory";
  if (kept.weights > available)
    return fmt::format("the weights alone take {}: {}, or take a smaller model", format_bytes(kept.weights), device);
  const std::string adapters =
      adapters_ ? "" : ", or train adapters instead of all weights (peft:), which takes far less";
  if (kept.total() > available)
    return fmt::format("{} of it do not depend on the batch ({}): {}{}", format_bytes(kept.total()), kept.text(),
                       device, adapters);
  return fmt::format("take shorter sequences{}, or {}{}", length_key_.empty() ? "" : " (" + length_key_ + ")", device,
                     adapters);
}

std::string MemoryAdvisor::what_fits(const MicrobatchShape& microbatch, Recompute now, uint64_t available,
                                     bool is_limit) const {
  if (const auto changes = single_changes(microbatch, now, available); !changes.empty())
    return "one of these fits: " + join(changes, "; ");
  const auto least = all_changes(microbatch, now, available);
  const std::string what =
      least.changes.empty() ? ""
      : least.changes.size() == 1
          ? fmt::format("{} takes {}, which ", least.changes[0], format_bytes(least.bytes))
          : fmt::format("{} together take {}, which ", join(least.changes, ", "), format_bytes(least.bytes));
  if (least.bytes <= available)
    return what + "fits" + (adapters_ ? "" : "; training adapters instead of all weights (peft:) takes far less");
  return (what.empty() ? "" : what + "is still too much: ") + why_too_much(least, available, is_limit);
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
  return SystemError(device, needed, what_fits(microbatch, recompute, available.safe, available.is_limit));
}

}  // namespace automodel::recipes
