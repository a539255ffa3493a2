#include "automodel/nn/rope.h"

#include <ATen/ops/cos.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <numbers>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::nn {

std::string RopeSpec::key() const {
  std::string key = fmt::format("rope:{}:{}:{}:{}:{}:{}:{}:{}:{}:{}:{}:{}", static_cast<int>(type), dim, theta, factor,
                                max_positions, original_max_positions, low_freq_factor, high_freq_factor, beta_fast,
                                beta_slow, truncate, attention_factor);
  for (const double f : short_factor) key += fmt::format(":short{}", f);
  for (const double f : long_factor) key += fmt::format(":long{}", f);
  return key;
}

namespace {

// theta^(2i/dim) in fp32, as torch computes it from a float tensor of exponents.
std::vector<float> powers(double theta, int64_t dim) {
  std::vector<float> out;
  for (int64_t i = 0; i < dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dim);
    out.push_back(static_cast<float>(std::pow(theta, static_cast<double>(exponent))));
  }
  return out;
}

// Llama 3.1: long wavelengths are divided by the factor, short ones kept, those between interpolated.
float llama3_frequency(const RopeSpec& s, float frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double original = static_cast<double>(s.original_max_positions);
  if (wavelength > original / s.low_freq_factor) return static_cast<float>(frequency / s.factor);
  if (wavelength < original / s.high_freq_factor) return frequency;
  const double smooth = (original / wavelength - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor);
  return static_cast<float>((1 - smooth) * frequency / s.factor + smooth * frequency);
}

// YaRN (Peng et al. 2023): a ramp over the dims between the two numbers of rotations.
std::vector<float> yarn_frequencies(const RopeSpec& s) {
  const auto dim_of = [&](double rotations) {
    return static_cast<double>(s.dim) *
           std::log(static_cast<double>(s.original_max_positions) / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(s.theta));
  };
  double low = dim_of(s.beta_fast), high = dim_of(s.beta_slow);
  if (s.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0), high = std::min(high, static_cast<double>(s.dim - 1));
  if (low == high) high += 0.001;
  auto out = powers(s.theta, s.dim);
  for (size_t i = 0; i < out.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    out[i] = static_cast<float>(ramp / (s.factor * out[i]) + (1 - ramp) / out[i]);
  }
  return out;
}

}  // namespace

std::vector<float> rope_inverse_frequencies(const RopeSpec& s, int64_t length) {
  if (s.type == RopeSpec::Type::Yarn) return yarn_frequencies(s);
  double theta = s.theta;
  if (s.type == RopeSpec::Type::Dynamic) {  // NTK-aware: the base grows with the length beyond the trained one
    const auto d = static_cast<double>(s.dim), n = static_cast<double>(std::max(length, s.max_positions));
    theta *= std::pow(s.factor * n / static_cast<double>(s.max_positions) - (s.factor - 1), d / (d - 2));
  }
  auto out = powers(theta, s.dim);
  const auto& stretch = length > s.original_max_positions ? s.long_factor : s.short_factor;
  for (size_t i = 0; i < out.size(); ++i) {
    if (s.type == RopeSpec::Type::LongRope) out[i] *= static_cast<float>(stretch.at(i));
    out[i] = 1.0f / out[i];
    if (s.type == RopeSpec::Type::Linear) out[i] /= static_cast<float>(s.factor);
    if (s.type == RopeSpec::Type::Llama3) out[i] = llama3_frequency(s, out[i]);
  }
  return out;
}

// One product of all positions with the frequencies; documents apart only where the frequencies depend on the length.
static kernels::RopeTable table_on_device(const RopeSpec& spec, const Batch& batch, int64_t before) {
  const auto options = batch.positions.options().dtype(at::kFloat);
  const auto frequencies = [&](int64_t length) {
    const auto host = rope_inverse_frequencies(spec, length);
    return at::tensor(host).to(options.device(), true);
  };
  const auto positions = batch.positions.to(at::kFloat).unsqueeze(1);
  at::Tensor angles;
  if (!spec.depends_on_length()) {
    angles = positions * frequencies(0);
  } else {
    angles = at::empty({batch.tokens(), spec.dim / 2}, options);
    for (int64_t d = 0; d < batch.documents(); ++d) {
      const int64_t begin = batch.cu_seqlens[d], length = batch.cu_seqlens[d + 1] - begin;
      angles.narrow(0, begin, length).copy_(positions.narrow(0, begin, length) * frequencies(before + length));
    }
  }
  return {angles.cos().mul_(spec.attention_factor), angles.sin().mul_(spec.attention_factor)};
}

kernels::RopeTable rope_table(const RopeSpec& spec, const Batch& batch, Context& context) {
  auto& memo = context.memo[spec.key()];
  if (memo.has_value()) return std::any_cast<kernels::RopeTable>(memo);
  if (!batch.positions.is_cpu()) {
    const auto table = table_on_device(spec, batch, context.cache ? context.cache->length : 0);
    memo = table;
    return table;
  }
  const int64_t T = batch.tokens(), half = spec.dim / 2;
  kernels::RopeTable table{at::empty({T, half}, at::kFloat), at::empty({T, half}, at::kFloat)};
  float *cos = table.cos.mutable_data_ptr<float>(), *sin = table.sin.mutable_data_ptr<float>();
  const auto* position = batch.positions.const_data_ptr<int64_t>();
  auto frequencies = rope_inverse_frequencies(spec, 0);
  const float factor = static_cast<float>(spec.attention_factor);
  for (int64_t d = 0; d < batch.documents(); ++d) {
    const int64_t begin = batch.cu_seqlens[d], end = batch.cu_seqlens[d + 1];
    if (spec.depends_on_length()) frequencies = rope_inverse_frequencies(spec, position[end - 1] + 1);
    at::parallel_for(begin, end, 64, [&](int64_t from, int64_t to) {
      for (int64_t t = from; t < to; ++t)
        for (int64_t i = 0; i < half; ++i) {
          const float angle = static_cast<float>(position[t]) * frequencies[static_cast<size_t>(i)];
          cos[t * half + i] = std::cos(angle) * factor;
          sin[t * half + i] = std::sin(angle) * factor;
        }
    });
  }
  memo = table;
  return table;
}

}  // namespace automodel::nn
