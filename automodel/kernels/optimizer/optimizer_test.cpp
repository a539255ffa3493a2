#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "automodel/kernels/op_check.h"
#include "automodel/kernels/optimizer/optimizer_gpu.h"

namespace automodel::kernels {
namespace {

using cuda::Master;

class OptimizerOnGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test_device().is_cuda()) GTEST_SKIP() << "needs a GPU (tests/gpu/run)";
  }
};

// The update in fp64.
struct Exact {
  at::Tensor w, m, v, v_max;
  void step(const at::Tensor& grad, const AdamRule& rule, double lr, double decay, int t, double factor) {
    auto g = grad.to(at::kDouble) * (rule.maximize ? -factor : factor);
    if (rule.decoupled)
      w = w * (1 - lr * decay);
    else
      g = g + w * decay;
    m = m * rule.beta1 + g * (1 - rule.beta1);
    v = v * rule.beta2 + g * g * (1 - rule.beta2);
    v_max = v_max.maximum(v);
    const auto root = ((rule.amsgrad ? v_max : v) / (1 - std::pow(rule.beta2, t))).sqrt() + rule.eps;
    w = w - lr / (1 - std::pow(rule.beta1, t)) * m / root;
  }
};

const int64_t kSizes[] = {1, 3, 4, 1000, 0, 16384, 40001};

AdamItem make_item(int64_t size, uint64_t key, at::ScalarType dtype, at::ScalarType state, Master master,
                   bool amsgrad) {
  AdamItem item{.weight = random_tensor({size}, key, dtype), .lr = 1e-2, .decay = 0.1, .key = key};
  item.m = at::zeros_like(item.weight, item.weight.options().dtype(state));
  item.v = at::zeros_like(item.m);
  if (amsgrad) item.v_max = at::zeros_like(item.m);
  if (master == Master::Full) item.low = item.weight.to(at::kFloat);
  if (master == Master::Split) item.low = at::zeros_like(item.weight, item.weight.options().dtype(at::kShort));
  item.step = at::zeros({}, item.m.options().dtype(at::kFloat));
  return item;
}

at::Tensor full_weight(const AdamItem& item, Master master) {
  if (master == Master::Full) return item.low;
  if (master != Master::Split) return item.weight;
  return ((item.weight.view(at::kShort).to(at::kInt) * 65536) + item.low.to(at::kInt)).view(at::kFloat);
}

void expect_updates(at::ScalarType dtype, at::ScalarType grad_dtype, Master master, AdamRule rule, double tolerance) {
  rule.master = master;
  std::vector<AdamItem> items;
  std::vector<Exact> exact;
  for (size_t i = 0; i < std::size(kSizes); ++i) {
    items.push_back(make_item(kSizes[i], 10 + i, dtype, at::kFloat, master, rule.amsgrad));
    const auto w = items.back().weight.to(at::kDouble);
    exact.push_back({w, w * 0, w * 0, w * 0});
  }
  for (int t = 1; t <= 5; ++t) {
    std::vector<at::Tensor> grads;
    for (size_t i = 0; i < items.size(); ++i)
      grads.push_back(items[i].grad = random_tensor({kSizes[i]}, 100 * static_cast<uint64_t>(t) + i, grad_dtype));
    const auto stats = sum_gradients(grads, 1.0).stats;
    std::vector<at::Tensor> wide;
    for (const auto& grad : grads) wide.push_back(grad.to(at::kDouble));
    const double norm = std::sqrt(at::cat(wide).pow(2).sum().item<double>());
    EXPECT_NEAR(norm_of(stats).item<double>(), norm, 1e-5 * norm);
    adam_update(items, rule, stats);
    for (size_t i = 0; i < items.size(); ++i)
      exact[i].step(grads[i], rule, items[i].lr, items[i].decay, t, std::min(1.0, 1.0 / (norm + 1e-6)));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    EXPECT_EQ(items[i].step.item<float>(), 5);
    EXPECT_TRUE(is_close(full_weight(items[i], master), exact[i].w, tolerance)) << kSizes[i];
    if (kSizes[i] == 0) continue;
    EXPECT_TRUE(is_close(items[i].weight, exact[i].w, std::max(tolerance, dtype == at::kFloat ? 0 : 0x1p-8)))
        << kSizes[i];
    if (master == Master::Stochastic && !rule.decoupled) continue;  // the decay sees weights that chance has moved
    EXPECT_TRUE(is_close(items[i].m, exact[i].m, 1e-5));
    EXPECT_TRUE(is_close(items[i].v, exact[i].v, 1e-5));
  }
}

TEST_F(OptimizerOnGpu, AdamEqualsTheFormulaInEveryPrecision) {
  for (const bool decoupled : {true, false})
    for (const bool amsgrad : {true, false}) {
      const AdamRule rule{.decoupled = decoupled, .maximize = amsgrad, .amsgrad = amsgrad};
      expect_updates(at::kFloat, at::kFloat, Master::None, rule, 2e-6);
      expect_updates(at::kBFloat16, at::kFloat, Master::Full, rule, 2e-6);
      expect_updates(at::kBFloat16, at::kBFloat16, Master::Split, rule, 2e-6);
      expect_updates(at::kBFloat16, at::kBFloat16, Master::Stochastic, rule, 0x1p-5);
      expect_updates(at::kHalf, at::kHalf, Master::Full, rule, 2e-6);
    }
}

TEST_F(OptimizerOnGpu, TakesTensorsThatAreNotAligned) {
  const auto store = random_tensor({4001}, 1), grad_store = random_tensor({4002}, 2);
  auto item = make_item(4000, 3, at::kFloat, at::kFloat, Master::None, false);
  auto twin = item;
  twin.weight = store.narrow(0, 1, 4000), twin.grad = grad_store.narrow(0, 2, 4000);
  item.weight = twin.weight.clone(), item.grad = twin.grad.clone();
  twin.m = item.m.clone(), twin.v = item.v.clone(), twin.step = item.step.clone();
  adam_update({item}, {}, {});
  adam_update({twin}, {}, {});
  EXPECT_TRUE(item.weight.equal(twin.weight));
}

TEST_F(OptimizerOnGpu, SkipsEverythingWhereAGradientIsNotFinite) {
  auto item = make_item(5000, 3, at::kBFloat16, at::kFloat, Master::Full, false);
  const auto before = item.weight.clone();
  item.grad = random_tensor({5000}, 4);
  item.grad[4321].fill_(NAN);
  const auto [stats, partial] = sum_gradients({item.grad}, 1.0);
  EXPECT_EQ(first_bad_tensor({item.grad}, partial), 0u);
  adam_update({item}, {.master = Master::Full}, stats);
  EXPECT_TRUE(item.weight.equal(before));
  EXPECT_EQ(item.m.abs().sum().item<float>(), 0);
  EXPECT_EQ(item.step.item<float>(), 0);
}

TEST_F(OptimizerOnGpu, RoundsByChanceToTheRightMean) {  // updates of a 64th of bf16's distance at 1
  auto item = make_item(1 << 16, 3, at::kBFloat16, at::kBFloat16, Master::Stochastic, false);
  item.weight.fill_(1);
  item.grad = at::zeros_like(item.weight).fill_(1);
  item.lr = 0x1p-13, item.decay = 0;
  const AdamRule rule{.master = Master::Stochastic, .seed = 7};
  for (int t = 0; t < 32; ++t) adam_update({item}, rule, {});
  const double mean = item.weight.to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(1 - mean, 32 * 0x1p-13, 32 * 0x1p-13 * 0.02);
}

TEST_F(OptimizerOnGpu, GivesTheSameBitsTwice) {
  const auto run = [] {
    std::vector<AdamItem> items;
    std::vector<at::Tensor> grads;
    for (uint64_t i = 0; i < 700; ++i) {  // more than one launch
      items.push_back(
          make_item(2000 + static_cast<int64_t>(i), i, at::kBFloat16, at::kBFloat16, Master::Stochastic, false));
      grads.push_back(items.back().grad = random_tensor(items.back().weight.sizes(), 900 + i, at::kBFloat16));
    }
    adam_update(items, {.master = Master::Stochastic, .seed = 3}, sum_gradients(grads, 0.5).stats);
    std::vector<at::Tensor> weights;
    for (const auto& item : items) weights.push_back(item.weight);
    return at::cat(weights);
  };
  EXPECT_TRUE(run().equal(run()));
}

}  // namespace
}  // namespace automodel::kernels
