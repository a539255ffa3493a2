#include "automodel/optim/adam.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <cmath>
#include <regex>
#include <utility>

#include "automodel/base/error.h"
#include "automodel/base/random.h"
#include "automodel/base/text.h"
#include "automodel/kernels/optimizer/rounding.h"
#include "automodel/optim/gradient.h"
#include "automodel/tensor/dtype.h"

namespace automodel::optim {
namespace {

void check_master(const Parameter& parameter, const AdamSettings& settings) {
  const auto master = master_of(parameter.dtype(), settings);
  if (parameter.dtype() == at::kBFloat16 || master == Master::None || master == Master::Full) return;
  throw ConfigError(
      "optimizer.master_weights",
      fmt::format("is {}, which is for bfloat16 weights, and {} is in {}",
                  master == Master::Split ? "split" : "stochastic", parameter.name(), dtype_name(parameter.dtype())),
      "true keeps fp32 copies of float16 weights");
}

uint64_t key_of(const std::string& name) {
  RandomKey key{name.size()};
  for (const unsigned char c : name) key = key.with(c);
  return key.value();
}

void check(const AdamSettings& s) {
  const auto beta = [](const char* name, double value) {
    if (!(value >= 0 && value < 1))
      throw ConfigError("optimizer.betas", fmt::format("{} is {}, expected at least 0 and below 1", name, value));
  };
  beta("the first", s.beta1);
  beta("the second", s.beta2);
  if (!(s.eps >= 0)) throw ConfigError("optimizer.eps", fmt::format("is {}, expected at least 0", s.eps));
}

std::string shape_text(const at::Tensor& tensor) {
  std::vector<std::string> sizes;
  for (const int64_t size : tensor.sizes()) sizes.push_back(std::to_string(size));
  return "[" + join(sizes, ", ") + "]";
}

std::vector<std::regex> compile(const std::vector<config::ParamGroupOverride>& overrides) {
  std::vector<std::regex> patterns;
  for (size_t i = 0; i < overrides.size(); ++i) {
    try {
      patterns.emplace_back(overrides[i].pattern, std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error& error) {
      throw ConfigError(fmt::format("optimizer.param_group_overrides[{}].pattern", i),
                        fmt::format("'{}' is no regular expression: {}", overrides[i].pattern, error.what()));
    }
    if (!(overrides[i].lr_mult >= 0) || !(overrides[i].wd_mult >= 0))
      throw ConfigError(fmt::format("optimizer.param_group_overrides[{}]", i),
                        "lr_mult and wd_mult must be at least 0");
  }
  return patterns;
}

}  // namespace

Adam::Adam(const std::vector<ParameterPtr>& parameters, AdamSettings settings)
    : settings_(std::move(settings)), parameters_(distinct_trainable(parameters)) {
  check(settings_);
  if (parameters_.empty())
    throw ConfigError("model", "has no trainable parameter", "unfreeze some, or add an adapter (peft)");
  const auto& overrides = settings_.param_group_overrides;
  const auto patterns = compile(overrides);
  std::vector<int64_t> taken(overrides.size()), matched(overrides.size());
  const auto group_of = [&](const std::string& name) {
    size_t group = overrides.size();
    for (size_t i = overrides.size(); i-- > 0;)
      if (std::regex_search(name, patterns[i])) group = i, ++matched[i];
    if (group < overrides.size()) ++taken[group];
    return group;
  };
  for (const auto& parameter : parameters_) {
    check_master(*parameter, settings_);
    parameter->grad_dtype = gradient_dtype(parameter->dtype(), settings_);
    size_t previous = ~size_t{0};
    for (size_t i = 0; i < parameter->slices().size(); ++i) {
      const auto& slice = parameter->slices()[i];
      const size_t group = group_of(slice.name);
      if (group == previous) {
        ++units_.back().slices;
        units_.back().rows += slice.rows;
        continue;
      }
      previous = group;
      const config::ParamGroupOverride multipliers =
          group < overrides.size() ? overrides[group] : config::ParamGroupOverride{};
      units_.push_back(
          {parameter, i, 1, slice.begin, slice.rows, multipliers.lr_mult, multipliers.wd_mult, key_of(slice.name), {}});
    }
  }
  for (size_t i = 0; i < overrides.size(); ++i)
    if (taken[i] == 0)
      throw ConfigError(fmt::format("optimizer.param_group_overrides[{}].pattern", i),
                        matched[i] == 0 ? fmt::format("'{}' matches no trainable parameter", overrides[i].pattern)
                                        : fmt::format("'{}' matches only parameters that earlier patterns take",
                                                      overrides[i].pattern),
                        fmt::format("names look like {}", parameters_.front()->slices().front().name));
}

void Adam::allocate() {
  if (std::exchange(allocated_, true)) return;
  for (auto& unit : units_) {
    const auto weight = unit.rows_of(unit.parameter->value());
    const auto dtype = state_dtype(weight.scalar_type(), settings_);
    auto& state = unit.state;
    state.step = at::zeros({}, weight.options().dtype(at::kFloat));
    state.exp_avg = at::zeros_like(weight, weight.options().dtype(dtype));
    state.exp_avg_sq = at::zeros_like(state.exp_avg);
    if (settings_.amsgrad) state.max_exp_avg_sq = at::zeros_like(state.exp_avg);
    const auto master = master_of(weight.scalar_type(), settings_);
    if (master == Master::Full) state.master = weight.to(at::kFloat);
    if (master == Master::Split) state.remainder = at::zeros_like(weight, weight.options().dtype(at::kShort));
  }
}

void Adam::update(Lists& lists, double lr, double weight_decay) const {
  at::_foreach_add_(lists.steps, 1);  // the fused ops read the count, they do not raise it
  const auto fused = settings_.decoupled
                         ? [](Lists& l, double lr, double b1, double b2, double wd, double eps, bool ams, bool max) {
                             at::_fused_adamw_(l.weights, l.grads, l.exp_avgs, l.exp_avg_sqs, l.max_exp_avg_sqs, l.steps, lr, b1, b2, wd, eps, ams, max);
                           }
                         : [](Lists& l, double lr, double b1, double b2, double wd, double eps, bool ams, bool max) {
                             at::_fused_adam_(l.weights, l.grads, l.exp_avgs, l.exp_avg_sqs, l.max_exp_avg_sqs, l.steps, lr, b1, b2, wd, eps, ams, max);
                           };
  fused(lists, lr, settings_.beta1, settings_.beta2, weight_decay, settings_.eps, settings_.amsgrad,
        settings_.maximize);
}

static void copy_back(const at::Tensor& to, const at::Tensor& from) {
  if (!to.is_same(from)) to.copy_(from);
}

// Where masters are not whole tensors of their own, and v where it is rounded as the weight is.
void Adam::keep(Unit& unit, const Lists& updated) const {
  auto& state = unit.state;
  const auto own = unit.rows_of(unit.parameter->value()), weight = updated.weights[0];
  const auto master = master_of(own.scalar_type(), settings_);
  const kernels::Chance chance{settings_.seed + static_cast<uint64_t>(state.step.item<float>()), unit.key};
  if (master == Master::Split)
    kernels::split_weight(weight, own, state.remainder);
  else if (master == Master::Stochastic)
    kernels::round_by_chance(weight, own, chance);
  else
    copy_back(master == Master::Full ? state.master : own, weight);
  const auto keep_v = [&](const at::Tensor& to, const at::Tensor& from) {
    if (master == Master::Stochastic && to.scalar_type() == at::kBFloat16)
      kernels::round_by_chance(from, to, {chance.seed, chance.stream, true});
    else
      copy_back(to, from);
  };
  copy_back(state.exp_avg, updated.exp_avgs[0]);
  keep_v(state.exp_avg_sq, updated.exp_avg_sqs[0]);
  if (settings_.amsgrad) keep_v(state.max_exp_avg_sq, updated.max_exp_avg_sqs[0]);
}

// The fused ops want one dtype for all: where ours differ, this unit alone is computed in fp32 copies, so that at most
// one parameter's worth of temporaries lives at a time.
void Adam::update_mixed(Unit& unit, double lr, double weight_decay) const {
  auto& state = unit.state;
  auto weight = state.master.defined() ? state.master : unit.rows_of(unit.parameter->value());
  if (state.remainder.defined()) weight = kernels::join_weight(weight, state.remainder);
  const bool by_chance = master_of(unit.parameter->dtype(), settings_) == Master::Stochastic;
  const auto common =
      weight.scalar_type() == state.exp_avg.scalar_type() && !by_chance ? weight.scalar_type() : at::kFloat;
  Lists lists{{weight.to(common)},
              {unit.rows_of(unit.parameter->grad()).to(common)},
              {state.exp_avg.to(common)},
              {state.exp_avg_sq.to(common)},
              {},
              {state.step}};
  if (settings_.amsgrad) lists.max_exp_avg_sqs.push_back(state.max_exp_avg_sq.to(common));
  update(lists, lr, weight_decay);
  keep(unit, lists);
}

static bool has_kernel(const at::Tensor& weight, const at::Tensor& grad, const SliceState& state, Master master) {
  return weight.is_cuda() &&
         kernels::has_adam_update(weight.scalar_type(), grad.scalar_type(), state.exp_avg.scalar_type(), master);
}

// All weights that the GPU's kernel takes, in a few launches.
void Adam::update_on_gpu(double lr, double weight_decay, const at::Tensor& stats) {
  std::map<Master, std::vector<kernels::AdamItem>> items;
  for (auto& unit : units_) {
    if (!unit.parameter->grad().defined()) continue;
    const auto& s = unit.state;
    const auto weight = unit.rows_of(unit.parameter->value()), grad = unit.rows_of(unit.parameter->grad());
    const auto master = master_of(weight.scalar_type(), settings_);
    if (!has_kernel(weight, grad, s, master)) continue;
    items[master].push_back({.weight = weight,
                             .low = master == Master::Split ? s.remainder : s.master,
                             .grad = grad,
                             .m = s.exp_avg,
                             .v = s.exp_avg_sq,
                             .v_max = s.max_exp_avg_sq,
                             .step = s.step,
                             .lr = lr * unit.lr_mult,
                             .decay = weight_decay * unit.wd_mult,
                             .key = unit.key});
  }
  kernels::AdamRule rule{.beta1 = settings_.beta1,
                         .beta2 = settings_.beta2,
                         .eps = settings_.eps,
                         .decoupled = settings_.decoupled,
                         .maximize = settings_.maximize,
                         .amsgrad = settings_.amsgrad,
                         .seed = settings_.seed};
  for (const auto& [master, of_it] : items) {
    rule.master = master;
    kernels::adam_update(of_it, rule, stats);
  }
}

void Adam::step(double lr, double weight_decay, const GradientNorm& norm) {
  at::NoGradGuard guard;
  allocate();
  if (norm.total.defined() && norm.total.is_cpu() && !std::isfinite(norm.total.item<double>())) return;
  update_on_gpu(lr, weight_decay, norm.stats);
  std::map<std::tuple<double, double, at::ScalarType>, Lists> groups;
  std::vector<at::Tensor> rounded, masters;
  for (auto& unit : units_) {
    const auto& whole = unit.parameter->grad();
    if (!whole.defined()) continue;
    auto& state = unit.state;
    auto weight = unit.rows_of(unit.parameter->value());
    const auto grad = unit.rows_of(whole);
    const auto master = master_of(weight.scalar_type(), settings_);
    if (has_kernel(weight, grad, state, master)) continue;
    AM_CHECK(!norm.stats.defined(), "{} has no update on the GPU", unit.parameter->name());
    if (state.master.defined()) {
      rounded.push_back(weight);
      masters.push_back(weight = state.master);
    }
    if (master == Master::Split || master == Master::Stochastic || grad.scalar_type() != weight.scalar_type() ||
        state.exp_avg.scalar_type() != weight.scalar_type()) {
      update_mixed(unit, lr * unit.lr_mult, weight_decay * unit.wd_mult);
      continue;
    }
    auto& lists = groups[{unit.lr_mult, unit.wd_mult, weight.scalar_type()}];
    lists.weights.push_back(weight);
    lists.grads.push_back(grad);
    lists.exp_avgs.push_back(state.exp_avg);
    lists.exp_avg_sqs.push_back(state.exp_avg_sq);
    if (settings_.amsgrad) lists.max_exp_avg_sqs.push_back(state.max_exp_avg_sq);
    lists.steps.push_back(state.step);
  }
  for (auto& [key, lists] : groups) update(lists, lr * std::get<0>(key), weight_decay * std::get<1>(key));
  for (size_t i = 0; i < masters.size(); ++i) kernels::round_to_nearest(masters[i], rounded[i]);
}

void Adam::clear_grads() {
  for (const auto& parameter : parameters_) parameter->clear_grad();
}

std::map<std::string, SliceState> Adam::state() {
  at::NoGradGuard guard;
  allocate();
  std::map<std::string, SliceState> states;
  for (const auto& unit : units_) {
    for (size_t i = unit.first_slice; i < unit.first_slice + unit.slices; ++i) {
      const auto& slice = unit.parameter->slices()[i];
      const auto view = [&](const at::Tensor& whole) {
        return whole.defined() ? whole.narrow(0, slice.begin - unit.begin, slice.rows) : whole;
      };
      const auto& s = unit.state;
      states[slice.name] = {s.step,         view(s.exp_avg),  view(s.exp_avg_sq), view(s.max_exp_avg_sq),
                            view(s.master), view(s.remainder)};
    }
  }
  return states;
}

std::map<std::string, at::Tensor> Adam::state_tensors() {
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, state] : state()) {
    tensors[name + ".step"] = state.step;
    tensors[name + ".exp_avg"] = state.exp_avg;
    tensors[name + ".exp_avg_sq"] = state.exp_avg_sq;
    if (state.max_exp_avg_sq.defined()) tensors[name + ".max_exp_avg_sq"] = state.max_exp_avg_sq;
    if (state.master.defined()) tensors[name + ".master"] = state.master;
    if (state.remainder.defined()) tensors[name + ".remainder"] = state.remainder;
  }
  return tensors;
}

void Adam::restore(const std::map<std::string, at::Tensor>& tensors) {
  at::NoGradGuard guard;
  const auto ours = state_tensors();
  const auto where = [](const std::string& name) { return "optimizer state " + name; };
  for (const auto& [name, tensor] : ours) {
    const auto found = tensors.find(name);
    if (found == tensors.end())
      throw CheckpointError(where(name), "is missing in the checkpoint",
                            "resume with the optimizer settings that the run was started with");
    if (found->second.sizes() != tensor.sizes())
      throw CheckpointError(where(name),
                            fmt::format("has shape {}, expected {}", shape_text(found->second), shape_text(tensor)));
  }
  for (const auto& [name, tensor] : tensors)
    if (!ours.contains(name))
      throw CheckpointError(where(name), "is in the checkpoint, but this run keeps no such state",
                            "resume with the optimizer settings that the run was started with");
  for (auto [name, tensor] : ours) tensor.copy_(tensors.at(name));
  for (auto& unit : units_)
    if (unit.state.master.defined())
      kernels::round_to_nearest(unit.state.master, unit.rows_of(unit.parameter->value()));
}

uint64_t Adam::state_bytes(const std::vector<ParameterPtr>& parameters, const AdamSettings& settings) {
  uint64_t bytes = 0;
  for (const auto& parameter : distinct_trainable(parameters)) {
    const auto count = static_cast<uint64_t>(parameter->numel());
    bytes += count * c10::elementSize(state_dtype(parameter->dtype(), settings)) * (settings.amsgrad ? 3 : 2);
    const auto master = master_of(parameter->dtype(), settings);
    bytes += count * (master == Master::Full ? sizeof(float) : master == Master::Split ? sizeof(int16_t) : 0);
  }
  return bytes;
}

}  // namespace automodel::optim
