// What the plain operations of attention take, counted at libtorch's own allocator.
#include "automodel/kernels/attention/fused_attention.h"

#include <gmock/gmock.h>

#include "automodel/kernels/attention/attention.h"
#include "automodel/tensor/counted_memory.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

class ReferenceAttention : public CountedMemory {};

TEST_F(ReferenceAttention, TakesWhatIsSaid) {
  constexpr int64_t kHeads = 8, kKvHeads = 4, kHeadDim = 24, kTokens = 768;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const double dropout : {0.0, 0.1})
      for (const double softcap : {0.0, 3.0})
        for (const int64_t documents : {1, 3}) {
          const int64_t n = kTokens / documents;
          AttentionPlan plan;
          for (int64_t d = 0; d <= documents; ++d) plan.q_begin.push_back(d * n);
          plan.k_begin = plan.q_begin;
          plan.dropout = dropout, plan.softcap = softcap;
          const auto leaf = [&](int64_t heads, uint64_t key) {
            return random_tensor({kTokens, heads, kHeadDim}, key, dtype).cpu().requires_grad_();
          };
          const auto q = leaf(kHeads, 1), k = leaf(kKvHeads, 2), v = leaf(kKvHeads, 3);
          const auto said = reference_memory({at::kCUDA, dtype, kHeads, kHeadDim, dropout, softcap}, kTokens, n);
          const int64_t start = live_bytes;
          peak_bytes = start;
          const auto y = attention_reference(q, k, v, plan);
          const int64_t own = static_cast<int64_t>(y.nbytes());
          const auto kept = static_cast<double>(live_bytes - start - own);
          y.backward(y.detach());
          const auto most = static_cast<double>(peak_bytes - start - own);
          const auto name =
              fmt::format("{} dropout {} softcap {} documents {}", toString(dtype), dropout, softcap, documents);
          EXPECT_NEAR(static_cast<double>(said.kept) / kept, 1, 0.02)
              << name << ": " << said.kept << ", counted " << kept;
          const double ratio = static_cast<double>(said.kept + said.passing) / most;  // backward frees on its way
          EXPECT_TRUE(ratio > (dropout > 0 ? 0.88 : 0.97) && ratio < 1.2)  // the CPU's dropout makes a mask in fp32
              << name << ": " << said.kept << " + " << said.passing << ", counted " << most;
        }
}

TEST(FusedAttention, IsWhatADevicesKernelsTake) {
  const auto why = [](at::DeviceType device, at::ScalarType dtype, int64_t head_dim, double dropout = 0) {
    return why_not_fused({device, dtype, 4, head_dim, dropout, 0});
  };
  EXPECT_EQ(why(at::kCUDA, at::kBFloat16, 128), "");
  EXPECT_EQ(why(at::kCUDA, at::kHalf, 256), "");
  EXPECT_EQ(why(at::kCPU, at::kFloat, 20), "");
  EXPECT_EQ(why(at::kCPU, at::kBFloat16, 20), "");
  EXPECT_THAT(why(at::kCUDA, at::kFloat, 128), testing::HasSubstr("computed in float32"));
  EXPECT_THAT(why(at::kCUDA, at::kBFloat16, 20), testing::HasSubstr("head dim 20"));
  EXPECT_THAT(why(at::kCUDA, at::kBFloat16, 264), testing::HasSubstr("head dim 264"));
  EXPECT_THAT(why(at::kCUDA, at::kBFloat16, 128, 0.1), testing::HasSubstr("attention_dropout"));
  EXPECT_THAT(why(at::kCPU, at::kFloat, 128, 0.1), testing::HasSubstr("attention_dropout"));
}

}  // namespace
}  // namespace automodel::kernels
