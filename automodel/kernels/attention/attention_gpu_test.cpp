#include "automodel/kernels/attention/attention_gpu.h"

#include <ATen/Context.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include "automodel/kernels/linear/padded.h"
#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

#define NEEDS_GPU()                                                                  \
  if (!test_device().is_cuda())                                                      \
  GTEST_SKIP() << "AUTOMODEL_TEST_DEVICE is not cuda: attention on the GPU was not " \
                  "tested"

struct Case {
  std::vector<int64_t> lengths;
  int64_t heads, kv_heads, D, window;
  at::ScalarType dtype = at::kBFloat16;
  bool packed = true;       // q, k and v are the parts of one tensor
  int64_t row_padding = 0;  // of that tensor and of the output
  bool sinks = false;
  double softcap = 0;
};

std::string name_of(const Case& c) {
  return fmt::format("documents {} heads {}/{} D {} window {} {}{}{} padding {} softcap {}",
                     testing::PrintToString(c.lengths), c.heads, c.kv_heads, c.D, c.window, toString(c.dtype),
                     c.packed ? " packed" : "", c.sinks ? " sinks" : "", c.row_padding, c.softcap);
}

AttentionPlan plan_of(const Case& c) {
  AttentionPlan plan;
  plan.q_begin = {0};
  for (const int64_t length : c.lengths) plan.q_begin.push_back(plan.q_begin.back() + length);
  plan.k_begin = plan.q_begin;
  plan.window = c.window, plan.scale = 1 / std::sqrt(static_cast<double>(c.D)), plan.row_padding = c.row_padding;
  plan.softcap = c.softcap;
  auto borders = at::empty({static_cast<int64_t>(plan.q_begin.size())}, at::kInt);
  std::copy(plan.q_begin.begin(), plan.q_begin.end(), borders.mutable_data_ptr<int32_t>());
  plan.borders = borders.to(test_device());
  return plan;
}

struct Heads {
  at::Tensor q, k, v;
};
Heads parts_of(const at::Tensor& qkv, const Case& c) {
  const auto part = [&](int64_t first, int64_t heads) {
    const auto x = qkv.narrow(1, first * c.D, heads * c.D).view({qkv.size(0), heads, c.D});
    return c.packed ? x : x.contiguous();
  };
  return {part(0, c.heads), part(c.heads, c.kv_heads), part(c.heads + c.kv_heads, c.kv_heads)};
}

// Of the truth's norm; where that is nothing (the gradients of a token that sees itself alone) of numbers of 0.05.
double norm_error(const at::Tensor& x, const at::Tensor& truth) {
  const auto wide = truth.to(at::kDouble);
  const double floor = 0.05 * std::sqrt(static_cast<double>(truth.numel()));
  return (x.to(at::kDouble) - wide).norm().item<double>() / std::max(floor, wide.norm().item<double>());
}

using Implementation = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&, const AttentionPlan&);

// Output and gradients against attention_reference in fp64, each part on its own: a dq in wrong rows must not hide.
void expect_equals_reference(const Case& c, Implementation op) {
  SCOPED_TRACE(name_of(c));
  auto plan = plan_of(c);
  const auto sinks = random_parameter({c.heads}, 3), sinks64 = random_parameter({c.heads}, 3);
  sinks64->grad_dtype = at::kDouble;
  const int64_t T = plan.q_begin.back(), width = (c.heads + 2 * c.kv_heads) * c.D;
  const auto values = random_tensor({T, width}, 1, c.dtype) * 2, dy = random_tensor({T, c.heads, c.D}, 2, c.dtype);
  const auto leaf64 = values.to(at::kDouble).requires_grad_();
  const auto x64 = parts_of(leaf64, c);
  if (c.sinks) plan.sinks = sinks64.get();
  const auto y64 = attention_reference(x64.q, x64.k, x64.v, plan);
  y64.backward(dy.to(at::kDouble));
  if (c.sinks) plan.sinks = sinks.get();
  const auto leaf = padded(values, c.row_padding).requires_grad_();
  const auto x = parts_of(leaf, c);
  const auto y = op(x.q, x.k, x.v, plan);
  y.backward(dy);
  const double bound = c.dtype == at::kHalf ? 0x1p-9 : 0x1p-7;  // a few roundings of scores, probabilities and outputs
  EXPECT_LT(norm_error(y, y64), bound) << "output";
  const auto d = parts_of(leaf.grad(), c), d64 = parts_of(leaf64.grad(), c);
  EXPECT_LT(norm_error(d.q, d64.q), bound) << "dq";
  EXPECT_LT(norm_error(d.k, d64.k), bound) << "dk";
  EXPECT_LT(norm_error(d.v, d64.v), bound) << "dv";
  if (c.sinks) {
    EXPECT_LT(norm_error(sinks->grad(), sinks64->grad()), 2 * bound) << "d sinks";  // sums of what nearly cancels
  }
  const at::NoGradGuard guard;
  EXPECT_TRUE(op(x.q, x.k, x.v, plan).equal(y)) << "without gradients";
}

const std::vector<int64_t> kUneven = {5, 1, 17, 1, 64, 65, 3, 300, 129};

std::vector<Case> cases(int64_t D) {
  return {{kUneven, 4, 4, D, 0},
          {kUneven, 4, 1, D, 0},
          {kUneven, 8, 2, D, 0, at::kBFloat16, false},
          {kUneven, 8, 1, D, 0, at::kHalf},
          {kUneven, 8, 2, D, 0, at::kBFloat16, true, 64},
          {{512, 512}, 4, 1, D, 0},  // a dense program
          {{512, 512}, 4, 1, D, 0, at::kBFloat16, true, 64},
          {{1}, 4, 1, D, 0},
          {{1, 1, 1}, 2, 2, D, 0},
          {{700}, 2, 1, D, 0},
          {kUneven, 8, 2, D, 7, at::kBFloat16, true, 64, true},
          {{512, 512}, 4, 1, D, 0, at::kBFloat16, true, 64, true},
          {{700}, 2, 1, D, 0, at::kBFloat16, false, 0, true}};
}

TEST(AttentionOnGpu, ByCudnnEqualsTheReference) {
  NEEDS_GPU();
  for (const int64_t D : {64, 80, 96, 128, 256})
    for (const auto& c : cases(D)) expect_equals_reference(c, attention_cudnn);
}

TEST(AttentionOnGpu, ByCudnnCapsItsScores) {
  NEEDS_GPU();
  for (const auto& lengths : {kUneven, std::vector<int64_t>{512, 512}, std::vector<int64_t>{1}})
    for (const int64_t D : {64, 256})
      for (const int64_t window : {0, 65})
        expect_equals_reference({.lengths = lengths,
                                 .heads = 8,
                                 .kv_heads = 4,
                                 .D = D,
                                 .window = window,
                                 .sinks = window > 0,
                                 .softcap = 1.5},
                                attention_cudnn);
}

TEST(AttentionOnGpu, ByFlashEqualsTheReference) {
  NEEDS_GPU();
  for (const int64_t D : {64, 80, 96, 128, 256})
    for (const auto& c : cases(D)) expect_equals_reference(c, attention_flash);
}

TEST(AttentionOnGpu, ByFlashSeesNoFurtherThanItsWindow) {
  NEEDS_GPU();
  for (const int64_t window : {1, 2, 63, 64, 65, 200, 1000})
    for (const auto& lengths : {kUneven, std::vector<int64_t>{512, 512}, std::vector<int64_t>{700}})
      expect_equals_reference({lengths, 4, 2, 128, window}, attention_flash);
}

TEST(AttentionOnGpu, ByCudnnSeesNoFurtherThanItsWindow) {
  NEEDS_GPU();
  for (const int64_t window : {1, 2, 63, 64, 65, 200, 1000})
    for (const auto& lengths : {kUneven, std::vector<int64_t>{512, 512}, std::vector<int64_t>{700}})
      expect_equals_reference({lengths, 4, 2, 128, window}, attention_cudnn);
}

TEST(AttentionOnGpu, GivesOnePackedGradientWithoutACopy) {
  NEEDS_GPU();
  for (const auto& lengths : {kUneven, std::vector<int64_t>{512}}) {
    const Case c{lengths, 4, 2, 64, 0, at::kBFloat16, true, 64};
    const auto plan = plan_of(c);
    const auto leaf = padded(random_tensor({plan.q_begin.back(), 8 * 64}, 1, c.dtype), 64);
    auto x = parts_of(leaf, c);
    for (auto* part : {&x.q, &x.k, &x.v}) part->requires_grad_();
    const auto y = attention_cudnn(x.q, x.k, x.v, plan);
    EXPECT_EQ(row_padding(y), 64);
    const auto d = torch::autograd::grad({y}, {x.q, x.k, x.v}, {random_tensor(y.sizes(), 2, c.dtype)});
    const auto* base = static_cast<const char*>(d[0].const_data_ptr());
    EXPECT_EQ(d[0].stride(0), leaf.stride(0));
    EXPECT_EQ(d[1].const_data_ptr(), base + 4 * 64 * 2);
    EXPECT_EQ(d[2].const_data_ptr(), base + 6 * 64 * 2);
  }
}

TEST(AttentionOnGpu, TakesMoreKeysThanQueriesFromACache) {
  NEEDS_GPU();
  for (const int64_t window : {0, 5, 33})
    for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{1, 1}, {1, 90}, {70, 201}, {1, 3000}}) {
      AttentionPlan plan{{0, queries}, {0, keys}, window, 0.1};
      const auto q = random_tensor({queries, 8, 128}, 1, at::kBFloat16),
                 k = random_tensor({keys, 2, 128}, 2, at::kBFloat16),
                 v = random_tensor({keys, 2, 128}, 3, at::kBFloat16);
      const auto y = attention(q, k, v, plan),
                 y64 = attention_reference(q.to(at::kDouble), k.to(at::kDouble), v.to(at::kDouble), plan);
      EXPECT_LT(norm_error(y, y64), 0x1p-7) << queries << " of " << keys << " window " << window;
    }
}

TEST(AttentionOnGpu, RepeatsItselfWhereAskedTo) {
  NEEDS_GPU();
  auto& context = at::globalContext();
  context.setDeterministicAlgorithms(true, false);
  for (const Implementation op : {attention_cudnn, attention_flash}) {
    const Case c{{300, 1000, 20, 700}, 8, 2, 128, 0};
    const auto plan = plan_of(c);
    const auto values = random_tensor({plan.q_begin.back(), 12 * 128}, 1, c.dtype);
    const auto dy = random_tensor({plan.q_begin.back(), 8, 128}, 2, c.dtype);
    std::vector<at::Tensor> grads;
    for (int i = 0; i < 2; ++i) {
      const auto leaf = values.clone().requires_grad_();
      const auto x = parts_of(leaf, c);
      op(x.q, x.k, x.v, plan).backward(dy);
      grads.push_back(leaf.grad());
    }
    EXPECT_TRUE(grads[0].equal(grads[1]));
  }
  context.setDeterministicAlgorithms(false, false);
}

TEST(AttentionOnGpu, TakesTheFastestWayThatCan) {
  NEEDS_GPU();
  const auto way = [](const Case& c, double dropout = 0) {
    auto plan = plan_of(c);
    plan.dropout = dropout;
    const auto x = parts_of(random_tensor({plan.q_begin.back(), (c.heads + 2 * c.kv_heads) * c.D}, 1, c.dtype), c);
    return choose_attention(x.q, x.k, x.v, plan);
  };
  using Way = AttentionChoice::Way;
  EXPECT_EQ(way({kUneven, 4, 2, 128, 0}).way, Way::Cudnn);
  EXPECT_EQ(way({kUneven, 4, 2, 96, 64}).way, Way::Cudnn);
  EXPECT_EQ(way({kUneven, 4, 2, 128, 0, at::kFloat}).way, Way::Reference);
  EXPECT_EQ(way({kUneven, 4, 2, 128, 0}, 0.1).way, Way::Reference);
  EXPECT_NE(way({kUneven, 4, 2, 20, 0}).reason.find("head dim 20"), std::string::npos);
}

}  // namespace
}  // namespace automodel::kernels
