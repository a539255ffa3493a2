#include "automodel/kernels/qkv/qkv.h"

#include <ATen/ops/cat.h>

#include "automodel/base/error.h"
#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

struct Case {
  int64_t T, Q, K, D, rotated;  // rotated dims; 0: none
  bool q_norm, k_norm, plus_one;
};

at::Tensor plain_norm(const at::Tensor& x, const at::Tensor& w, const QkNorm& norm) {
  return x * (x.pow(2).mean({-1}, true) + norm.eps).rsqrt() * (norm.plus_one ? w + 1 : w);
}

at::Tensor plain_rotation(const at::Tensor& x, const RopeTable& rope) {
  if (!rope.cos.defined()) return x;
  const int64_t half = rope.cos.size(1);
  const auto cos = rope.cos.to(at::kDouble).unsqueeze(1), sin = rope.sin.to(at::kDouble).unsqueeze(1);
  const auto a = x.narrow(2, 0, half), b = x.narrow(2, half, half);
  return at::cat({a * cos - b * sin, b * cos + a * sin, x.narrow(2, 2 * half, x.size(2) - 2 * half)}, 2);
}

at::Tensor joined(const Qkv& qkv) { return at::cat({qkv.q.flatten(1), qkv.k.flatten(1), qkv.v.flatten(1)}, 1); }

at::Tensor plain_split(const at::Tensor& x, std::vector<at::Tensor> w, const Case& c, const QkNorm& norm,
                       const RopeTable& rope) {
  auto q = x.narrow(1, 0, c.Q * c.D).reshape({c.T, c.Q, c.D}),
       k = x.narrow(1, c.Q * c.D, c.K * c.D).reshape({c.T, c.K, c.D});
  if (norm.k) k = plain_norm(k, w.back(), norm);
  if (norm.q) q = plain_norm(q, w.front(), norm);
  return at::cat({plain_rotation(q, rope).flatten(1), plain_rotation(k, rope).flatten(1),
                  x.narrow(1, (c.Q + c.K) * c.D, c.K * c.D)},
                 1);
}

RopeTable table(const Case& c, at::ScalarType dtype) {
  if (c.rotated == 0) return {};
  const auto angles = random_tensor({c.T, c.rotated / 2}, 7) * 3;
  // Rounded to the dtype of the input, which the op does as well: the plain formula must see the same angles.
  return {angles.cos().to(dtype).to(at::kFloat), angles.sin().to(dtype).to(at::kFloat)};
}

void expect_split(const Case& c, const Precision& precision, bool trained, bool x_grad) {
  const auto rope = table(c, precision.dtype);
  const auto wq = random_parameter({c.D}, 2, precision.dtype, trained),
             wk = random_parameter({c.D}, 3, precision.dtype, trained);
  const QkNorm norm{c.q_norm ? wq.get() : nullptr, c.k_norm ? wk.get() : nullptr, 1e-5, c.plus_one};
  std::vector<Parameter*> weights;
  if (norm.q) weights.push_back(wq.get());
  if (norm.k) weights.push_back(wk.get());
  const auto x = random_tensor({c.T, (c.Q + 2 * c.K) * c.D}, 1, precision.dtype);
  for (const auto op : {split_qkv, split_qkv_reference}) {
    SCOPED_TRACE(op == split_qkv ? "fused" : "reference");
    expect_equals_plain(
        [&](const at::Tensor& given) {
          return joined(op(given, {c.Q, c.K, c.D}, norm, rope));
        },
        [&](const at::Tensor& given, const auto& w) { return plain_split(given, w, c, norm, rope); }, x,
        {weights, x_grad, 2 * precision.tolerance});
  }
}

TEST(SplitQkv, EqualsThePlainFormulaForwardAndBackward) {
  for (const Case& c : {Case{0, 2, 1, 4, 4, true, true, false}, Case{1, 1, 1, 2, 2, false, false, false},
                        Case{7, 4, 2, 6, 4, true, true, true}, Case{33, 3, 1, 5, 0, false, true, false},
                        Case{33, 3, 3, 8, 2, true, false, false}, Case{150, 6, 2, 64, 64, true, true, false},
                        Case{9, 2, 2, 16, 16, false, false, false}, Case{40, 8, 2, 128, 128, true, true, false},
                        Case{40, 2, 1, 256, 64, true, false, true}, Case{20, 2, 1, 96, 96, false, true, false}})
    for (const auto& precision : kPrecisions)
      for (int flags = 0; flags < 4; ++flags) {
        SCOPED_TRACE(testing::Message() << "T " << c.T << " heads " << c.Q << "/" << c.K << " D " << c.D << " rotated "
                                        << c.rotated << " " << precision.dtype << " trained " << (flags & 1)
                                        << " x_grad " << (flags & 2));
        expect_split(c, precision, flags & 1, flags & 2);
      }
}

TEST(SplitQkv, GivesContiguousHeads) {
  const auto x = random_tensor({5, 4 * 8}, 1);
  for (const auto op : {split_qkv, split_qkv_reference}) {
    const auto out = op(x, {2, 1, 8}, {}, {});
    for (const auto& part : {out.q, out.k, out.v}) EXPECT_TRUE(part.is_contiguous() || part.is_cuda());
    EXPECT_EQ(out.q.sizes(), at::IntArrayRef({5, 2, 8}));
    EXPECT_EQ(out.v.sizes(), at::IntArrayRef({5, 1, 8}));
  }
}

TEST(SplitQkv, InPlaceEqualsTheCopyAndItsGradient) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const Case c{70, 4, 2, 64, 64, false, false, false};
    const auto rope = table(c, dtype);
    const auto x = random_tensor({c.T, 8 * c.D}, 1, dtype), dy = random_tensor({c.T, 8 * c.D}, 2, dtype);
    const auto run = [&](auto split) {
      const auto leaf = x.clone().requires_grad_();
      const auto y = joined(split(leaf * 1, {c.Q, c.K, c.D}, {}, rope));
      y.backward(dy);
      return std::pair(y.detach(), leaf.grad());
    };
    const auto copied = run(split_qkv), in_place = run(split_qkv_in_place);
    EXPECT_TRUE(copied.first.equal(in_place.first));
    EXPECT_TRUE(copied.second.equal(in_place.second));
  }
}

TEST(SplitQkv, RefusesAWidthThatIsNotTheHeads) {
  EXPECT_THROW(split_qkv(random_tensor({5, 30}, 1), {2, 1, 8}, {}, {}), CheckError);
}

TEST(SplitQkv, DoesNotDependOnThreads) {
  expect_same_on_one_and_two_threads([] {
    const Case c{700, 4, 2, 16, 16, true, true, false};
    const auto wq = random_parameter({c.D}, 2), wk = random_parameter({c.D}, 3);
    const auto x = random_tensor({c.T, 8 * c.D}, 1).requires_grad_();
    const auto y = joined(split_qkv(x, {c.Q, c.K, c.D}, {wq.get(), wk.get(), 1e-6, false}, table(c, at::kFloat)));
    y.backward(random_tensor(y.sizes(), 4));
    return std::vector<at::Tensor>{y.detach(), x.grad(), wq->grad().clone(), wk->grad().clone()};
  });
}

}  // namespace
}  // namespace automodel::kernels
