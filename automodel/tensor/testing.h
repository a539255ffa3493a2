// What tests of tensors share: numbers that depend on a key alone, and closeness that says by how much it fails.
// Included by tests only.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "automodel/base/random.h"
#include "automodel/tensor/parameter.h"

namespace automodel {

/// Where the tensors of tests lie: cpu, or what AUTOMODEL_TEST_DEVICE names (tests/gpu/run sets it to cuda). A GPU's
/// libraries are loaded by then: every test program that sees libtorch is linked with tests/gpu/load_device.cpp.
inline at::Device test_device() {
  const char* name = std::getenv("AUTOMODEL_TEST_DEVICE");
  const at::Device device(name ? name : "cpu");
  return device.is_cpu() || device.has_index() ? device : at::Device(device.type(), 0);
}

/// Uniform in [-1, 1) from (key, place), rounded to `dtype`.
inline at::Tensor random_tensor(at::IntArrayRef sizes, uint64_t key, at::ScalarType dtype = at::kFloat) {
  auto values = at::empty(sizes, at::kFloat);
  float* out = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i)
    out[i] = static_cast<float>(2 * uniform(RandomKey{key}, static_cast<uint64_t>(i)) - 1);
  return values.to(test_device(), dtype);
}

/// A parameter with values from random_tensor(key).
inline std::unique_ptr<Parameter> random_parameter(std::vector<int64_t> shape, uint64_t key,
                                                   at::ScalarType dtype = at::kFloat, bool trainable = true) {
  auto parameter = std::make_unique<Parameter>("weight" + std::to_string(key), shape, dtype, Init{});
  parameter->set_value(random_tensor(shape, key, dtype));
  parameter->trainable = trainable;
  return parameter;
}

/// The same values laid out so that no dim is contiguous.
inline at::Tensor strided(const at::Tensor& x) {
  if (x.dim() == 0) return x;
  std::vector<int64_t> wide = x.sizes().vec();
  wide.push_back(2);
  auto store = at::empty(wide, x.options());
  auto view = store.select(-1, 1);
  view.copy_(x.detach());
  return view;
}

/// A bound that the CPU keeps, as it holds where the tests run: four times as wide on a GPU, whose exp and division are
/// good to 2 units in the last place, and whose sums of products run in another order for every shape.
inline double device_bound(double on_cpu) { return test_device().is_cpu() ? on_cpu : 4 * on_cpu; }

/// max|a - b| <= relative * max|b|, with equal shapes; b is taken as the truth. A maximum below 1e-6 counts as 1e-6.
inline testing::AssertionResult is_close(const at::Tensor& a, const at::Tensor& b, double relative) {
  if (!a.defined() || !b.defined()) return testing::AssertionFailure() << "a tensor is undefined";
  if (a.sizes() != b.sizes()) return testing::AssertionFailure() << "shapes " << a.sizes() << " and " << b.sizes();
  if (a.numel() == 0) return testing::AssertionSuccess();
  const auto x = a.detach().to(at::kDouble), y = b.detach().to(at::kDouble);
  const double difference = (x - y).abs().max().item<double>();
  const double largest = std::max(y.abs().max().item<double>(), 1e-6);
  if (difference <= relative * largest) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "differs by " << difference << ", allowed is " << relative << " of " << largest;
}

}  // namespace automodel
