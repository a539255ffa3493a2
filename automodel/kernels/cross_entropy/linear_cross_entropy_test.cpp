#include "automodel/kernels/cross_entropy/linear_cross_entropy.h"

#include <ATen/ops/scalar_tensor.h>

#include "automodel/base/error.h"
#include "automodel/kernels/op_check.h"
#include "automodel/tensor/batch.h"

namespace automodel::kernels {
namespace {

constexpr int64_t kV = 37, kH = 12;

at::Tensor labels_of(int64_t T, int ignored) {  // ignored: 0 none, 1 every third, 2 all
  auto labels = at::empty({T}, at::kLong);
  for (int64_t t = 0; t < T; ++t)
    labels.mutable_data_ptr<int64_t>()[t] =
        ignored == 2 || (ignored == 1 && t % 3 == 0) ? kIgnoreLabel : (t * 11 + 5) % kV;
  return labels.to(test_device());
}

at::Tensor plain_logits(const at::Tensor& x, const std::vector<at::Tensor>& w, const CrossEntropyOptions& o) {
  auto logits = x.matmul(w[0].t());
  if (w.size() > 1) logits = logits + w[1];
  logits = logits * o.logit_scale;
  return o.softcap > 0 ? (logits / o.softcap).tanh() * o.softcap : logits;
}

at::Tensor plain_loss(const at::Tensor& x, const std::vector<at::Tensor>& w, const at::Tensor& labels, double scale,
                      const CrossEntropyOptions& o) {
  const auto logits = plain_logits(x, w, o);
  auto total = logits.sum() * 0;
  for (int64_t t = 0; t < labels.numel(); ++t) {
    const auto label = labels[t].item<int64_t>();
    if (label == kIgnoreLabel) continue;
    const auto lse = logits[t].logsumexp({0});
    total = total + (lse - logits[t][label]) * (1 - o.label_smoothing) + (lse - logits[t].mean()) * o.label_smoothing +
            lse.pow(2) * o.z_loss;
  }
  return total * scale;
}

using Implementation = at::Tensor (*)(const at::Tensor&, Parameter&, Parameter*, const at::Tensor&, double,
                                      const CrossEntropyOptions&);
const std::pair<const char*, Implementation> kImplementations[] = {{"chunked", linear_cross_entropy},
                                                                   {"reference", linear_cross_entropy_reference}};

struct Trained {
  bool weight = true, bias = true, x_grad = true;
};

void expect_loss(int64_t T, int ignored, bool with_bias, const CrossEntropyOptions& options, const Precision& precision,
                 Trained trained = {}) {
  SCOPED_TRACE(testing::Message() << "T " << T << " ignored " << ignored << " bias " << with_bias << " cap "
                                  << options.softcap << " scale " << options.logit_scale << " smoothing "
                                  << options.label_smoothing << " z " << options.z_loss << " chunk "
                                  << options.chunk_tokens << " " << precision.dtype << " trained " << trained.weight
                                  << trained.bias << trained.x_grad);
  const auto weight = random_parameter({kV, kH}, 2, precision.dtype, trained.weight),
             bias = random_parameter({kV}, 3, precision.dtype, trained.bias);
  std::vector<Parameter*> weights = {weight.get()};
  if (with_bias) weights.push_back(bias.get());
  const auto labels = labels_of(T, ignored);
  const double scale = 1.0 / 16;
  for (const auto& [name, op] : kImplementations) {
    SCOPED_TRACE(name);
    const auto run = op;
    expect_equals_plain(
        [&](const at::Tensor& x) { return run(x, *weight, with_bias ? bias.get() : nullptr, labels, scale, options); },
        [&](const at::Tensor& x, const auto& w) { return plain_loss(x, w, labels, scale, options); },
        random_tensor({T, kH}, 1, precision.dtype) * 2,
        {weights, trained.x_grad, precision.tolerance, at::scalar_tensor(1.0, at::kFloat)});
  }
}

const CrossEntropyOptions kOptions[] = {
    {},
    {.softcap = 2},
    {.logit_scale = 0.3},
    {.label_smoothing = 0.1},
    {.z_loss = 0.01},
    {.softcap = 1.5, .logit_scale = 1.7, .label_smoothing = 0.2, .z_loss = 0.02},
};

TEST(LinearCrossEntropy, EqualsThePlainLossForEveryOptionAndChunk) {
  for (auto options : kOptions)
    for (const int64_t chunk : {0, 1, 7, 30})
      for (const int ignored : {0, 1, 2})
        for (const bool with_bias : {false, true}) {
          options.chunk_tokens = chunk;
          expect_loss(30, ignored, with_bias, options, {at::kFloat, 5e-6});
        }
}

TEST(LinearCrossEntropy, EqualsThePlainLossInHalfPrecision) {
  for (const auto& options : kOptions)
    for (const auto& precision : {Precision{at::kBFloat16, 0x1p-4}, Precision{at::kHalf, 0x1p-7}})
      expect_loss(30, 1, true, options, precision);
}

// The loss stays, the gradients of hidden, weight and bias are a power of two larger: to the bit.
TEST(LinearCrossEntropy, ScalesGradientsAndNotTheLoss) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto gradients = [&](const at::Tensor& factor) {
      const auto weight = random_parameter({kV, kH}, 2, dtype), bias = random_parameter({kV}, 3, dtype);
      const auto x = random_tensor({20, kH}, 1, dtype).requires_grad_();
      const auto loss =
          linear_cross_entropy(x, *weight, bias.get(), labels_of(20, 1), 0.125, {.gradient_scale = factor});
      loss.backward();
      return std::vector<at::Tensor>{loss.detach(), x.grad(), weight->grad().clone(), bias->grad().clone()};
    };
    const auto plain = gradients({}), scaled = gradients(at::scalar_tensor(1024.0, at::kFloat).to(test_device()));
    EXPECT_TRUE(scaled[0].equal(plain[0]));
    for (size_t i = 1; i < plain.size(); ++i) EXPECT_TRUE(scaled[i].equal(plain[i] * 1024)) << dtype << i;
  }
}

TEST(LinearCrossEntropy, TakesNoneOneAndManyTokens) {
  for (const int64_t T : {0, 1, 200})
    for (const int ignored : {0, 1}) expect_loss(T, ignored, true, {.chunk_tokens = 64}, {at::kFloat, 5e-6});
}

TEST(LinearCrossEntropy, TrainsWhateverIsTrained) {
  for (int flags = 0; flags < 8; ++flags)
    expect_loss(10, 1, true, {}, {at::kFloat, 5e-6}, {!!(flags & 1), !!(flags & 2), !!(flags & 4)});
}

TEST(LinearCrossEntropy, ChunksChangeTheLossByRoundingOnly) {
  const auto weight = random_parameter({kV, kH}, 2);
  const auto x = random_tensor({100, kH}, 1);
  const auto labels = labels_of(100, 1);
  const at::NoGradGuard guard;
  const auto whole = linear_cross_entropy(x, *weight, nullptr, labels, 1, {.chunk_tokens = 100});
  for (const int64_t chunk : {1, 3, 99})
    EXPECT_TRUE(is_close(linear_cross_entropy(x, *weight, nullptr, labels, 1, {.chunk_tokens = chunk}), whole, 1e-6));
}

TEST(LinearCrossEntropy, RaisesForALabelOutsideTheVocabulary) {
  const auto weight = random_parameter({kV, kH}, 2);
  const auto x = random_tensor({3, kH}, 1);
  for (const int64_t wrong : {kV, int64_t{-1}, int64_t{-99}, int64_t{1} << 40}) {
    auto labels = labels_of(3, 0);
    labels[1].fill_(wrong);
    if (x.is_cuda()) {  // where nobody reads labels back
      EXPECT_TRUE(std::isnan(linear_cross_entropy(x, *weight, nullptr, labels, 1).item<float>()));
      continue;
    }
    EXPECT_THROW(linear_cross_entropy(x, *weight, nullptr, labels, 1), DataError) << wrong;
    EXPECT_THROW(token_log_probs(x, *weight, nullptr, labels), DataError) << wrong;
  }
}

TEST(LinearCrossEntropy, EqualsTheReferenceForALargeVocabulary) {
  for (const auto& [dtype, tolerance] : kPrecisions)
    for (const auto& options : kOptions) {
      const auto weight = random_parameter({5000, 16}, 2, dtype), twin = random_parameter({5000, 16}, 2);
      twin->set_value(weight->value().to(at::kFloat));
      const auto x = random_tensor({9, 16}, 1, dtype).requires_grad_();
      const auto y = x.detach().to(at::kFloat, false, true).requires_grad_();
      const auto labels = labels_of(9, 1);
      const auto ours = linear_cross_entropy(x, *weight, nullptr, labels, 1, options);
      const auto reference = linear_cross_entropy_reference(y, *twin, nullptr, labels, 1, options);
      EXPECT_TRUE(is_close(ours, reference, 4 * tolerance));
      ours.backward();
      reference.backward();
      EXPECT_TRUE(is_close(x.grad(), y.grad(), 8 * tolerance)) << dtype;
      EXPECT_TRUE(is_close(weight->grad(), twin->grad(), 8 * tolerance)) << dtype;
    }
}

TEST(LinearCrossEntropy, IsNotANumberWhenALogitIsNot) {
  const auto weight = random_parameter({kV, kH}, 2);
  auto x = random_tensor({3, kH}, 1);
  x[1][0].fill_(NAN);
  const at::NoGradGuard guard;
  EXPECT_TRUE(std::isnan(linear_cross_entropy(x, *weight, nullptr, labels_of(3, 0), 1).item<float>()));
}

TEST(LinearCrossEntropy, SurvivesGreatLogits) {
  const auto weight = random_parameter({kV, kH}, 2);
  const auto x = random_tensor({30, kH}, 1) * 300;
  const auto labels = labels_of(30, 0);
  const auto expected = plain_loss(x.to(at::kDouble), {weight->value().to(at::kDouble)}, labels, 1, {});
  EXPECT_TRUE(is_close(linear_cross_entropy(x, *weight, nullptr, labels, 1), expected, 1e-5));
}

TEST(TokenLogProbs, AreThePlainOnesAndZeroWhereIgnored) {
  for (const auto& given : kOptions)
    for (const int64_t chunk : {0, 1, 7}) {
      auto options = given;
      options.chunk_tokens = chunk;
      const auto weight = random_parameter({kV, kH}, 2), bias = random_parameter({kV}, 3);
      const auto x = random_tensor({20, kH}, 1) * 2;
      const auto labels = labels_of(20, 1);
      const auto logits =
          plain_logits(x.to(at::kDouble), {weight->value().to(at::kDouble), bias->value().to(at::kDouble)}, options);
      EXPECT_TRUE(is_close(head_logits(x, *weight, bias.get(), options), logits, 3e-6));
      const auto found = token_log_probs(x, *weight, bias.get(), labels, options);
      const auto expected = logits.log_softmax(-1)
                                .gather(1, labels.clamp_min(0).unsqueeze(1))
                                .squeeze(1)
                                .masked_fill(labels.eq(kIgnoreLabel), 0);
      EXPECT_TRUE(is_close(found, expected, 5e-6));
      EXPECT_TRUE(is_close(token_log_probs(x, *weight, bias.get(), strided(labels), options), expected, 5e-6))
          << "labels with gaps";
    }
}

}  // namespace
}  // namespace automodel::kernels
