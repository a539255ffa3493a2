#include "automodel/tensor/parameter.h"

#include "automodel/base/error.h"
#include "automodel/tensor/batch.h"
#include "automodel/tensor/dtype.h"
#include "automodel/tensor/testing.h"

namespace automodel {
namespace {

TEST(Parameter, HasSlicesThatCoverIt) {
  using Slices = std::vector<ParameterSlice>;
  const Parameter fused(Slices{{"q", 0, 4}, {"k", 4, 2}}, {6, 3}, at::kFloat, {});
  EXPECT_EQ(fused.numel(), 18);
  EXPECT_EQ(fused.name(), "q+k");
  EXPECT_THROW(Parameter(Slices{{"q", 0, 4}, {"k", 5, 1}}, {6, 3}, at::kFloat, {}), CheckError);  // a gap
  EXPECT_THROW(Parameter(Slices{{"q", 0, 4}}, {6, 3}, at::kFloat, {}), CheckError);               // too short
}

TEST(Parameter, GivesItsValueOnlyWhileItIsThere) {
  Parameter parameter("w", {2, 3}, at::kFloat, {});
  EXPECT_FALSE(parameter.has_value());
  EXPECT_THROW(parameter.value(), CheckError);
  parameter.set_value(random_tensor({2, 3}, 1));
  EXPECT_TRUE(parameter.view(parameter.slices()[0]).is_alias_of(parameter.value()));
  EXPECT_THROW(parameter.set_value(random_tensor({3, 2}, 1)), CheckError);
  EXPECT_THROW(parameter.set_value(random_tensor({2, 3}, 1, at::kBFloat16)), CheckError);
  parameter.set_value({});
  EXPECT_FALSE(parameter.has_value());
}

TEST(ParameterSink, OverwritesFirstAndAddsThen) {
  const auto parameter = random_parameter({2}, 1, at::kBFloat16);
  EXPECT_FALSE(parameter->grad().defined());
  std::vector<double> betas;
  const auto add_one = [&](at::Tensor& grad, double beta) {
    EXPECT_EQ(grad.scalar_type(), at::kFloat);
    EXPECT_FALSE(at::GradMode::is_enabled());
    betas.push_back(beta);
    if (beta == 0) grad.zero_();
    grad.add_(1);
  };
  parameter->add_grad(add_one), parameter->add_grad(add_one);
  EXPECT_EQ(parameter->grad()[1].item<float>(), 2);
  const auto* buffer = parameter->grad().const_data_ptr();
  parameter->clear_grad();
  EXPECT_FALSE(parameter->grad().defined());
  parameter->add_grad(add_one);
  EXPECT_EQ(parameter->grad().const_data_ptr(), buffer);  // the buffer was kept
  EXPECT_EQ(betas, (std::vector<double>{0, 1, 0}));
  parameter->drop_grad();
  EXPECT_FALSE(parameter->mutable_grad().defined());
  parameter->trainable = false;
  parameter->add_grad(add_one);
  EXPECT_FALSE(parameter->grad().defined());
  EXPECT_EQ(betas.size(), 3u);
}

TEST(Differentiable, HandsItsGradientToTheSink) {
  const auto parameter = random_parameter({3}, 1);
  for (int round = 1; round <= 2; ++round) {
    const auto w = differentiable(*parameter);
    (w * w).sum().backward();
    EXPECT_TRUE(is_close(parameter->grad(), parameter->value() * 2 * round, 1e-6));
  }
  parameter->trainable = false;
  EXPECT_TRUE(differentiable(*parameter).is_same(parameter->value()));
  parameter->trainable = true;
  const at::NoGradGuard guard;
  EXPECT_TRUE(differentiable(*parameter).is_same(parameter->value()));
}

TEST(MakeBatch, PacksDocumentsAndShiftsLabels) {
  const auto batch = make_batch({{5, 6, 7}, {8}, {9, 1}});
  EXPECT_EQ(batch.cu_seqlens, (std::vector<int64_t>{0, 3, 4, 6}));
  const auto list = [](const at::Tensor& t) {
    return std::vector<int64_t>(t.const_data_ptr<int64_t>(), t.const_data_ptr<int64_t>() + t.numel());
  };
  EXPECT_EQ(list(batch.ids), (std::vector<int64_t>{5, 6, 7, 8, 9, 1}));
  EXPECT_EQ(list(batch.positions), (std::vector<int64_t>{0, 1, 2, 0, 0, 1}));
  EXPECT_EQ(list(batch.labels), (std::vector<int64_t>{6, 7, -100, -100, 1, -100}));
  EXPECT_EQ(batch.trained_tokens, 3);
  EXPECT_EQ(batch.tokens(), 6);
  EXPECT_EQ(batch.documents(), 3);
  EXPECT_EQ(batch.longest(), 3);
  const auto labelled = make_batch({{5, 6}}, {{-100, 3}});
  EXPECT_EQ(list(labelled.labels), (std::vector<int64_t>{-100, 3}));
  EXPECT_EQ(labelled.trained_tokens, 1);
  EXPECT_EQ(make_batch({}).tokens(), 0);
}

TEST(MakeBatch, NamesTheDocumentAtFault) {
  const auto message = [](const auto& ids, const auto& labels) -> std::string {
    try {
      make_batch(ids, labels);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  using Lists = std::vector<std::vector<int32_t>>;
  EXPECT_NE(message(Lists{{1}, {}}, Lists{}).find("document 1"), std::string::npos);
  EXPECT_NE(message(Lists{{1}, {2, 3}}, Lists{{1}, {2}}).find("document 1: has 2 ids but 1 labels"), std::string::npos);
  EXPECT_NE(message(Lists{{1}, {2}}, Lists{{1}}).find("2 documents but 1 label lists"), std::string::npos);
}

TEST(Dtype, IsParsedAsYamlAndConfigsSpellIt) {
  for (const char* name : {"bf16", "bfloat16", "torch.bfloat16"}) EXPECT_EQ(parse_dtype(name), at::kBFloat16) << name;
  for (const char* name : {"float32", "fp32", "float", "torch.float32"})
    EXPECT_EQ(parse_dtype(name), at::kFloat) << name;
  for (const char* name : {"half", "fp16", "float16"}) EXPECT_EQ(parse_dtype(name), at::kHalf) << name;
  for (const char* name : {"", "int8", "torch.", "bf 16", "BF16"}) EXPECT_EQ(parse_dtype(name), std::nullopt) << name;
  for (const auto dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble})
    EXPECT_EQ(parse_dtype(dtype_name(dtype)), dtype);
  EXPECT_EQ(dtype_name(at::kByte), "uint8");  // what is saved beside weights
  EXPECT_EQ(dtype_name(at::kLong), "int64");
}

}  // namespace
}  // namespace automodel
