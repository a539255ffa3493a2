#include "automodel/kernels/product/product.h"

#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

struct Size {
  int64_t M, N, K;
};

TEST(Product, EqualsThePlainOneForEveryLayout) {
  for (const auto& [M, N, K] :
       {Size{0, 3, 4}, Size{3, 0, 4}, Size{3, 4, 0}, Size{1, 1, 1}, Size{1, 33, 7}, Size{17, 5, 129},
        Size{15, 900, 100}, Size{130, 96, 100}, Size{257, 300, 65}})  // the last two are large enough for oneDNN
    for (const auto& [dtype, tolerance] : kPrecisions) {
      const auto a = random_tensor({M, K}, 1, dtype), b = random_tensor({N, K}, 2, dtype);
      const auto expected = a.to(at::kDouble).matmul(b.to(at::kDouble).t());
      const auto turned = [](const at::Tensor& x) { return x.t().contiguous().t(); };
      for (const auto& left : {a, turned(a), strided(a)})
        for (const auto& right : {b, turned(b), strided(b)}) {
          const auto found = product(left, right);
          EXPECT_TRUE(is_close(found, expected, tolerance)) << M << " " << N << " " << K << " " << dtype;
          EXPECT_TRUE(found.is_contiguous());
          EXPECT_EQ(found.scalar_type(), dtype);
        }
    }
}

TEST(Product, RepeatsBitForBit) {
  const auto a = random_tensor({257, 96}, 1), b = random_tensor({300, 96}, 2);
  const auto first = product(a, b);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(product(a, b).equal(first));
}

TEST(Product, HasNoGraph) {
  const auto a = random_tensor({257, 96}, 1).requires_grad_(), b = random_tensor({300, 96}, 2);
  const at::NoGradGuard guard;
  EXPECT_FALSE(product(a, b).requires_grad());
}

TEST(Product, MayBeChangedInPlaceByItsCallersFunctions) {  // what is padded to a block of tokens comes back as no view
  for (const int64_t tokens : {257, 384})
    EXPECT_FALSE(product(random_tensor({tokens, 96}, 1), random_tensor({300, 96}, 2)).is_view()) << tokens;
}

}  // namespace
}  // namespace automodel::kernels
