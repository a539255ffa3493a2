#include "automodel/kernels/embedding/embedding.h"

#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

at::Tensor ids_of(const std::vector<int64_t>& ids) {
  auto out = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), out.mutable_data_ptr<int64_t>());
  return out.to(test_device());
}

TEST(Embedding, LooksUpAndSumsTheGradientsOfRepeatedIds) {
  const int64_t V = 9, H = 5;
  for (const auto& list : std::vector<std::vector<int64_t>>{{}, {3}, {0, 8, 0, 0, 7, 8, 2}})
    for (const auto& [dtype, tolerance] : kPrecisions)
      for (const double scale : {1.0, 2.23606797749979})
        for (const int64_t padding : {-1, 0, 8}) {
          SCOPED_TRACE(testing::Message()
                       << testing::PrintToString(list) << " " << dtype << " scale " << scale << " padding " << padding);
          const auto ids = ids_of(list);
          const auto weight = random_parameter({V, H}, 1, dtype);
          const auto table = weight->value().to(at::kDouble).requires_grad_();
          const auto y64 = table.index_select(0, ids) * scale;
          const auto dy = random_tensor(y64.sizes(), 3, dtype);
          auto dy64 = dy.to(at::kDouble);
          if (padding >= 0) dy64 = dy64.masked_fill(ids.eq(padding).unsqueeze(1), 0);
          y64.backward(dy64);
          for (int round = 1; round <= 2; ++round) {
            const auto y = embedding(ids, *weight, scale, padding);
            EXPECT_TRUE(is_close(y, y64, tolerance));
            y.backward(round == 1 ? dy : strided(dy));
            EXPECT_TRUE(is_close(weight->grad(), table.grad() * round, 2 * tolerance));
            if (padding >= 0) {
              EXPECT_EQ(weight->grad()[padding].abs().max().item<float>(), 0);
            }
          }
        }
}

TEST(Embedding, SumsLongRunsOfOneId) {  // runs within, over and far over what one block sums
  for (const int64_t H : {5, 300}) {
    std::vector<int64_t> list;
    for (int64_t i = 0; i < 700; ++i) list.push_back(i < 17 ? 3 : i < 400 ? 1 : i % 7);
    const auto ids = ids_of(list);
    const auto weight = random_parameter({9, H}, 1);
    const auto dy = random_tensor({700, H}, 3);
    embedding(ids, *weight).backward(dy);
    auto expected = (weight->value() * 0).to(at::kDouble);
    expected.index_add_(0, ids, dy.to(at::kDouble));
    EXPECT_TRUE(is_close(weight->grad(), expected, 3e-6));
  }
}

TEST(Embedding, OfAFrozenTableHasNoGraph) {
  const auto weight = random_parameter({4, 3}, 1, at::kFloat, false);
  EXPECT_FALSE(embedding(ids_of({1, 2}), *weight).requires_grad());
  weight->trainable = true;
  const at::NoGradGuard guard;
  EXPECT_FALSE(embedding(ids_of({1, 2}), *weight).requires_grad());
}

TEST(Embedding, RoundsItsScaleToTheTablesDtypeFirst) {  // sqrt(5) in bf16 is 2.234375
  const auto weight = random_parameter({2, 3}, 1, at::kBFloat16);
  const auto y = embedding(ids_of({1}), *weight, 2.23606797749979);
  EXPECT_TRUE(y.equal(weight->value().narrow(0, 1, 1) * 2.234375));
}

TEST(Embedding, GradientDoesNotDependOnThreads) {
  expect_same_on_one_and_two_threads([] {
    const auto weight = random_parameter({50, 64}, 1);
    auto ids = at::empty({4000}, at::kLong);
    for (int64_t i = 0; i < ids.numel(); ++i) ids.mutable_data_ptr<int64_t>()[i] = (i * i) % 50;
    ids = ids.to(test_device());
    embedding(ids, *weight).backward(random_tensor({4000, 64}, 2));
    return std::vector<at::Tensor>{weight->grad().clone()};
  });
}

}  // namespace
}  // namespace automodel::kernels
