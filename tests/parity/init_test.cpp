// from_config: every parameter starts with the distribution that transformers gives it.
#include <ATen/TensorOperators.h>
#include <ATen/ops/std.h>

#include <cmath>

#include "automodel/tensor/testing.h"
#include "tests/parity/golden.h"

namespace automodel::parity {
namespace {

void expect_distribution(const at::Tensor& values, const Json& golden, const std::string& name) {
  const auto v = values.to(at::kDouble);
  const double mean = v.mean().item<double>(), deviation = at::std(v, /*unbiased=*/false).item<double>();
  const double golden_mean = golden.at("mean"), golden_deviation = golden.at("std");
  if (golden_deviation == 0) {  // a constant
    EXPECT_EQ(v.min().item<double>(), golden.at("min").get<double>()) << name;
    EXPECT_EQ(v.max().item<double>(), golden.at("max").get<double>()) << name;
    return;
  }
  // Both are samples of n values: 5 standard errors of their difference.
  const double n = static_cast<double>(v.numel()), error = golden_deviation * std::sqrt(2.0 / n);
  EXPECT_NEAR(mean, golden_mean, 5 * error) << name;
  EXPECT_NEAR(deviation, golden_deviation, 5 * error / std::sqrt(2.0)) << name;
}

void expect_zero_rows(const at::Tensor& values, const Json& golden, const std::string& name) {
  std::vector<int64_t> rows;
  const auto zero = (values == 0).all(1);
  for (int64_t row = 0; row < values.size(0); ++row)
    if (zero[row].item<bool>()) rows.push_back(row);
  EXPECT_EQ(rows, golden.value("zero_rows", std::vector<int64_t>{})) << name;
}

TEST(Initialisation, FollowsEachFamilysRule) {
  const auto cases = load_json(golden_folder() / "init.json");
  for (const auto& [family, golden] : cases.items()) {
    SCOPED_TRACE(family);
    const auto model = models::build(models::read_config(golden.at("config"), family), at::kFloat);
    model->device = test_device();
    models::initialize(*model, 42);
    size_t seen = 0;
    for (const auto& parameter : model->parameters())
      for (const auto& slice : parameter->slices()) {
        auto values = parameter->view(slice);
        if (slice.transposed) values = values.t();
        ASSERT_TRUE(golden.at("parameters").contains(slice.name)) << slice.name;
        const auto& expected = golden.at("parameters").at(slice.name);
        EXPECT_EQ(values.sizes().vec(), expected.at("shape").get<std::vector<int64_t>>()) << slice.name;
        expect_distribution(values, expected, slice.name);
        if (values.dim() == 2) expect_zero_rows(values, expected, slice.name);
        ++seen;
      }
    EXPECT_EQ(seen, golden.at("parameters").size());
  }
}

}  // namespace
}  // namespace automodel::parity
