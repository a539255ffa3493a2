#include "automodel/kernels/activation/activation.h"

#include "automodel/base/error.h"
#include "automodel/kernels/op_check.h"

namespace automodel::kernels {
namespace {

const Activation kAll[] = {Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu,
                           Activation::ReluSquared};

at::Tensor formula(const at::Tensor& x, Activation f) {
  switch (f) {
    case Activation::Silu:
      return x * x.sigmoid();
    case Activation::Gelu:
      return x * 0.5 * ((x * std::sqrt(0.5)).erf() + 1);
    case Activation::GeluTanh:
      return x * 0.5 * (((x + x.pow(3) * 0.044715) * std::sqrt(2 / M_PI)).tanh() + 1);
    case Activation::Relu:
      return x.clamp_min(0);
    case Activation::ReluSquared:
      return x.clamp_min(0).pow(2);
  }
  return {};
}

at::Tensor plain_gated(const at::Tensor& x, Activation f) {
  const int64_t I = x.size(-1) / 2;
  return formula(x.narrow(-1, 0, I), f) * x.narrow(-1, I, I);
}

TEST(GatedActivation, EqualsThePlainFormulaForwardAndBackward) {
  using Implementation = at::Tensor (*)(const at::Tensor&, Activation);
  const Implementation fused = [](const at::Tensor& x, Activation f) { return gated_activation(x, f); };
  for (const auto& [name, op] :
       {std::pair<const char*, Implementation>{"fused", fused}, {"reference", gated_activation_reference}})
    for (const Activation f : kAll)
      for (const auto& shape : std::vector<std::vector<int64_t>>{{0, 6}, {1, 2}, {1, 14}, {37, 34}, {300, 256}})
        for (const auto& [dtype, tolerance] : kPrecisions)
          for (const bool holes : {false, true}) {
            SCOPED_TRACE(testing::Message() << name << " " << static_cast<int>(f) << " "
                                            << testing::PrintToString(shape) << " " << dtype << " holes " << holes);
            const auto run = op;
            const auto x = (random_tensor(shape, 1) * 4).to(dtype);
            for (const bool x_grad : {false, true})
              expect_equals_plain([&](const at::Tensor& given) { return run(given, f); },
                                  [&](const at::Tensor& given, const auto&) { return plain_gated(given, f); },
                                  holes ? strided(x) : x, {{}, x_grad, tolerance});
          }
}

TEST(GatedActivation, IsExactFarOut) {  // where e^x leaves fp32
  auto x = at::empty({4, 2}, at::kFloat);
  const float gates[] = {-1000, -90, 90, 1000};
  for (int64_t t = 0; t < 4; ++t) x[t][0].fill_(gates[t]), x[t][1].fill_(2);
  for (const Activation f : {Activation::Silu, Activation::GeluTanh}) {
    const auto leaf = x.detach().requires_grad_();
    const auto y = gated_activation(leaf, f);
    y.sum().backward();
    for (int64_t t = 0; t < 4; ++t) {
      const float on = gates[t] > 0 ? 1 : 0;
      EXPECT_NEAR(y[t][0].item<float>(), 2 * gates[t] * on, 1e-5);
      EXPECT_NEAR(leaf.grad()[t][0].item<float>(), 2 * on, 1e-5);
      EXPECT_NEAR(leaf.grad()[t][1].item<float>(), gates[t] * on, 1e-5);
    }
  }
}

TEST(Activation, EqualsThePlainFormula) {
  for (const Activation f : kAll)
    for (const auto& [dtype, tolerance] : kPrecisions)
      expect_equals_plain([&](const at::Tensor& x) { return activation(x, f); },
                          [&](const at::Tensor& x, const auto&) { return formula(x, f); },
                          random_tensor({5, 9}, 1, dtype) * 4, {{}, true, tolerance});
}

TEST(ParseActivation, KnowsHuggingFacesNamesAndListsThemForOthers) {
  EXPECT_EQ(parse_activation("silu", "k"), Activation::Silu);
  EXPECT_EQ(parse_activation("gelu", "k"), Activation::Gelu);
  EXPECT_EQ(parse_activation("gelu_new", "k"), Activation::GeluTanh);
  EXPECT_EQ(parse_activation("gelu_pytorch_tanh", "k"), Activation::GeluTanh);
  EXPECT_EQ(parse_activation("relu2", "k"), Activation::ReluSquared);
  try {
    parse_activation("mish", "config.json: hidden_act");
    FAIL();
  } catch (const UnsupportedError& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find("config.json: hidden_act"), std::string::npos);
    EXPECT_NE(what.find("'mish'"), std::string::npos);
    EXPECT_NE(what.find("gelu_new"), std::string::npos);
  }
}

}  // namespace
}  // namespace automodel::kernels
