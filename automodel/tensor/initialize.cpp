#include "automodel/tensor/initialize.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <cmath>
#include <numbers>

#include "automodel/base/random.h"

namespace automodel {

namespace {

uint64_t hash(const std::string& text) {  // FNV-1a
  uint64_t value = 14695981039346656037ull;
  for (const unsigned char c : text) value = (value ^ c) * 1099511628211ull;
  return value;
}

// Two normal numbers a draw (Box and Muller).
void fill_normal(float* out, int64_t size, double deviation, RandomKey key) {
  at::parallel_for(0, (size + 1) / 2, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto words = philox(key, static_cast<uint64_t>(i));
      const double u = (words[0] + 1.0) * 0x1.0p-32, angle = 2 * std::numbers::pi * words[1] * 0x1.0p-32;
      const double radius = deviation * std::sqrt(-2 * std::log(u));
      out[2 * i] = static_cast<float>(radius * std::cos(angle));
      if (2 * i + 1 < size) out[2 * i + 1] = static_cast<float>(radius * std::sin(angle));
    }
  });
}

void fill_uniform(float* out, int64_t size, double half_width, RandomKey key) {
  at::parallel_for(0, size, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      out[i] = static_cast<float>((2 * uniform(key, static_cast<uint64_t>(i)) - 1) * half_width);
  });
}

void fill(at::Tensor& values, const Init& init, RandomKey key) {
  float* out = values.mutable_data_ptr<float>();
  const int64_t size = values.numel(), fan_out = values.size(0), fan_in = values.dim() > 1 ? values.size(1) : 1;
  switch (init.kind) {
    case Init::Kind::Normal:
      return fill_normal(out, size, init.scale, key);
    case Init::Kind::Zeros:
      values.zero_();
      return;
    case Init::Kind::Ones:
      values.fill_(1);
      return;
    case Init::Kind::Uniform:
      return fill_uniform(out, size, init.scale, key);
    case Init::Kind::XavierNormal:
      return fill_normal(out, size, std::sqrt(2.0 / static_cast<double>(fan_in + fan_out)), key);
    case Init::Kind::KaimingUniform:
      return fill_uniform(out, size, 1 / std::sqrt(static_cast<double>(fan_in)), key);  // a = sqrt(5)
  }
}

void zero_row(Parameter& parameter) {
  const int64_t row = parameter.init().zero_row;
  if (row >= 0 && row < parameter.shape()[0]) parameter.value().narrow(0, row, 1).zero_();
}

void fill_on_device(at::Tensor& values, const Init& init, at::Generator& generator) {
  const auto fan_out = static_cast<double>(values.size(0)),
             fan_in = static_cast<double>(values.dim() > 1 ? values.size(1) : 1);
  const auto uniform = [&](double half_width) { values.uniform_(-half_width, half_width, generator); };
  switch (init.kind) {
    case Init::Kind::Normal:
      values.normal_(0, init.scale, generator);
      return;
    case Init::Kind::Zeros:
      values.zero_();
      return;
    case Init::Kind::Ones:
      values.fill_(1);
      return;
    case Init::Kind::Uniform:
      return uniform(init.scale);
    case Init::Kind::XavierNormal:
      values.normal_(0, std::sqrt(2.0 / (fan_in + fan_out)), generator);
      return;
    case Init::Kind::KaimingUniform:
      return uniform(1 / std::sqrt(fan_in));
  }
}

}  // namespace

void initialize_on_device(Parameter& parameter, uint64_t seed) {
  at::NoGradGuard guard;
  auto generator = at::globalContext().defaultGenerator(parameter.value().device()).clone();
  for (const auto& slice : parameter.slices()) {
    auto view = parameter.view(slice);
    generator.set_current_seed(RandomKey{seed, hash(slice.name)}.value());
    fill_on_device(view, parameter.init(), generator);
  }
  zero_row(parameter);
}

void initialize(Parameter& parameter, uint64_t seed) {
  at::NoGradGuard guard;
  if (!parameter.has_value()) parameter.allocate(at::kCPU);
  for (const auto& slice : parameter.slices()) {
    auto view = parameter.view(slice);
    auto values = at::empty(view.sizes(), at::kFloat);
    fill(values, parameter.init(), RandomKey{seed, hash(slice.name)});
    view.copy_(values);
  }
  zero_row(parameter);
}

}  // namespace automodel
