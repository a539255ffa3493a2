// Documents of uneven lengths in one packed batch against each document alone, for every family's head dim and window.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>

#include "automodel/tensor/testing.h"
#include "tests/gpu/shapes.h"

namespace automodel::gpu {
namespace {

// What run() finds for the packed documents, from each of them alone.
Tensors run_alone(nn::Model& model, const Documents& documents) {
  const double trained = static_cast<double>(make_batch(documents.ids, documents.labels).trained_tokens);
  for (const auto& parameter : model.parameters()) parameter->clear_grad();
  std::vector<at::Tensor> logits;
  engine::Engine engine(model);
  double loss = 0;
  for (size_t d = 0; d < documents.ids.size(); ++d) {
    const auto batch = make_batch({documents.ids[d]}, {documents.labels[d]}).to(model.device);
    {
      const at::NoGradGuard guard;
      Context context;
      logits.push_back(model.head->logits(nn::forward_hidden(model, batch, context)));
    }
    Context context;
    context.loss_scale = 1 / trained;
    loss += engine.forward_backward(batch, context).item<double>();
  }
  Tensors found = {{"logits", at::cat(logits)}};
  found["loss"] = at::zeros({1}, at::TensorOptions(model.device).dtype(at::kFloat)) + loss;
  for (const auto& parameter : model.parameters()) {
    for (const auto& slice : parameter->slices()) {
      const auto grad = Parameter::view(parameter->grad(), slice);
      found[slice.name] = slice.transposed ? grad.t() : grad;
    }
    parameter->drop_grad();
  }
  for (auto& [name, tensor] : found) tensor = tensor.detach().to(at::kFloat);
  return found;
}

class UnevenDocuments : public testing::TestWithParam<Shape> {
 protected:
  Build build = shape_build(GetParam(), false);
  Documents documents = uneven_documents(9);
  Batch batch() const { return make_batch(documents.ids, documents.labels); }
  Tensors packed(nn::Model& model) const {
    auto found = run(model, batch());
    found.erase("logprobs");
    return found;
  }
};

TEST_P(UnevenDocuments, PackedAreWhatTheyAreAlone) {
  const auto model = make_shape(build);
  const auto truth = packed(*model);
  const auto alone = run_alone(*model, documents);
  for (const auto& [name, tensor] : truth) EXPECT_TRUE(is_close(alone.at(name), tensor, 2e-5)) << name;
  disturb_weights(*model);
  const auto disturbed = packed(*model);
  const auto bf16 = make_twin(*model, build, at::kBFloat16, test_device());
  expect_within_rounding(packed(*bf16), disturbed, truth);
  expect_within_rounding(run_alone(*bf16, documents), disturbed, truth);
}

// The long document and the tail get other words: no logit of the others may change by a bit. Neither may a gradient,
// as none of the changed words is trained, but on a GPU attention adds up its gradients in any order.
TEST_P(UnevenDocuments, KnowNothingOfEachOther) {
  const auto fp32 = make_shape(build);
  const auto model = make_twin(*fp32, build, at::kBFloat16, test_device());
  std::fill(documents.labels[5].begin(), documents.labels[5].end(), static_cast<int32_t>(kIgnoreLabel));
  packed(*model);  // a GPU chooses the algorithm of a product at its first call
  const auto before = packed(*model);
  const auto others = uneven_documents(10);
  documents.ids[5] = others.ids[5], documents.ids[6] = others.ids[6];
  const auto after = packed(*model);
  const int64_t first = 1 + 2 + 63 + 64 + 65;
  EXPECT_TRUE(at::equal(after.at("logits").narrow(0, 0, first), before.at("logits").narrow(0, 0, first)));
  EXPECT_FALSE(at::equal(after.at("logits"), before.at("logits")));
  for (const auto& [name, tensor] : before)
    if (name != "logits")
      EXPECT_TRUE(is_close(after.at(name), tensor, test_device().is_cuda() ? 0x1p-8 : 1e-6)) << name;
}

INSTANTIATE_TEST_SUITE_P(Shapes, UnevenDocuments, testing::ValuesIn(shapes()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace automodel::gpu
