#include "automodel/kernels/remade/remade.h"

#include <gtest/gtest.h>

#include "automodel/base/error.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

TEST(Remade, IsMadeOnceForAllItsReadersAndThenLetGo) {
  const auto source = random_tensor({3, 4}, 1);
  int times = 0;
  const Remade x(source * 2, [&times, source] { return ++times, source * 2; });
  EXPECT_FALSE(x.kept().defined());
  const auto first = x.recipe(), second = x.recipe();
  const auto made = remake(at::Tensor(), first);
  EXPECT_TRUE(made.equal(x.value()));
  EXPECT_TRUE(remake(at::Tensor(), second).is_same(made));
  EXPECT_EQ(times, 1);
  EXPECT_EQ(made.use_count(), 1u) << "the recipe still holds what it made";
  EXPECT_EQ(source.use_count(), 1u) << "the recipe still holds what it is made of";
  EXPECT_THROW(remake(at::Tensor(), first), CheckError);
}

TEST(Remade, WithoutARecipeIsKept) {
  const auto tensor = random_tensor({2}, 1);
  const Remade x = tensor;
  EXPECT_TRUE(x.kept().is_same(tensor));
  EXPECT_TRUE(x.recipe().isNone());
  EXPECT_TRUE(remake(tensor, x.recipe()).is_same(tensor));
  const at::NoGradGuard guard;
  EXPECT_TRUE(Remade(tensor, [tensor] { return tensor; }).kept().is_same(tensor)) << "no backward will ask for it";
}

TEST(Remade, IsNotHeldByAProduct) {
  for (const bool trained : {false, true}) {
    const auto weight = random_parameter({5, 4}, 2, at::kFloat, trained);
    const auto source = random_tensor({3, 4}, 1).requires_grad_();
    const auto plain = linear(source * 2, *weight, nullptr);
    plain.backward(random_tensor({3, 5}, 3));
    const auto expected = trained ? weight->grad().clone() : at::Tensor();
    weight->clear_grad();
    auto value = source * 2;
    const auto storage = value.storage();
    int times = 0;
    const auto y = linear({value, [&times, x = source.detach()] { return ++times, x * 2; }}, *weight, nullptr);
    value = at::Tensor();
    EXPECT_EQ(storage.use_count(), 1u);
    y.backward(random_tensor({3, 5}, 3));
    EXPECT_EQ(times, trained ? 1 : 0);
    if (trained) {
      EXPECT_TRUE(weight->grad().equal(expected));
    }
  }
}

}  // namespace
}  // namespace automodel::kernels
