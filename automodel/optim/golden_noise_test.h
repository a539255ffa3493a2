// The weights and gradients that tools/make_optim_goldens.py made its golden values with.
#pragma once

#include <ATen/ops/from_blob.h>

#include <nlohmann/json.hpp>

#include "automodel/base/json.h"
#include "automodel/base/testing.h"
#include "automodel/tensor/parameter.h"

namespace automodel::optim {

inline at::Tensor noise(int64_t salt, const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<float>(
        static_cast<double>((1103515245 * (i + 7919 * salt) + 12345) % (int64_t{1} << 31)) / (1 << 30) - 1));
  return at::from_blob(values.data(), shape, at::kFloat).clone();
}

inline at::Tensor golden_weight(int64_t index, const std::vector<int64_t>& shape) { return noise(1000 + index, shape); }

inline at::Tensor golden_grad(int64_t step, int64_t index, const std::vector<int64_t>& shape) {
  return noise(10 * step + index, shape).mul_(step % 7 == 3 ? 0.001 : 1.0);
}

inline void set_grad(Parameter& parameter, const at::Tensor& grad) {
  parameter.clear_grad();
  parameter.add_grad([&](at::Tensor& buffer, double) { buffer.copy_(grad); });
}

inline Json load_goldens(const char* name) { return load_json(source_folder() / "automodel/optim/testdata" / name); }

}  // namespace automodel::optim
