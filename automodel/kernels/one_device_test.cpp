// Every op refuses tensors of another device, one input after the other, before it takes an address.
#include "automodel/kernels/one_device.h"

#include <chrono>
#include <functional>

#include "automodel/base/testing.h"
#include "automodel/kernels/adapter/adapted_linear.h"
#include "automodel/kernels/attention/attention.h"
#include "automodel/kernels/cross_entropy/linear_cross_entropy.h"
#include "automodel/kernels/embedding/embedding.h"
#include "automodel/kernels/layer_norm/layer_norm.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/kernels/optimizer/optimizer_gpu.h"
#include "automodel/kernels/product/product_gpu.h"
#include "automodel/kernels/qkv/qkv.h"
#include "automodel/kernels/rms_norm/rms_norm.h"
#include "automodel/tensor/testing.h"

namespace automodel::kernels {
namespace {

// A device without data on the CPU, the CPU on a GPU: a forgotten check would read a null address or an illegal one.
const at::Device kOther = test_device().is_cpu() ? at::Device(at::kMeta) : at::Device(at::kCPU);

// What an op is called with; one of them is then moved away.
struct Inputs {
  std::map<std::string, at::Tensor> tensors;
  std::map<std::string, std::unique_ptr<Parameter>> parameters;

  void tensor(const std::string& name, std::vector<int64_t> shape) { tensors[name] = random_tensor(shape, 1); }
  void integers(const std::string& name, int64_t n, at::ScalarType dtype = at::kLong) {
    tensors[name] = at::empty({n}, dtype).zero_().to(test_device());
  }
  void parameter(const std::string& name, std::vector<int64_t> shape) {
    parameters[name] = random_parameter(std::move(shape), 2);
  }
  const at::Tensor& operator[](const std::string& name) const { return tensors.at(name); }
  Parameter& of(const std::string& name) const { return *parameters.at(name); }

  void move(const std::string& name) {
    if (const auto found = tensors.find(name); found != tensors.end()) found->second = found->second.to(kOther);
    if (const auto found = parameters.find(name); found != parameters.end())
      found->second->set_value(found->second->value().to(kOther));
  }
};

// `first` is what the others are held to.
void expect_refused(const std::string& op, const std::string& first, const std::function<void(Inputs&)>& make,
                    const std::function<void(Inputs&)>& call) {
  SCOPED_TRACE(op);
  Inputs good;
  make(good);
  EXPECT_NO_THROW(call(good));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : good.tensors) names.push_back(name);
  for (const auto& [name, parameter] : good.parameters) names.push_back(name);
  ASSERT_GT(names.size(), 1u);
  for (const auto& name : names) {
    if (name == first) continue;
    Inputs bad;
    make(bad);
    bad.move(name);
    EXPECT_THROW(call(bad), CheckError) << name;
    const auto said = message_of<CheckError>([&] { call(bad); });
    EXPECT_EQ(said.rfind(op + ": " + name + " [", 0), 0u) << said;
    EXPECT_NE(said.find(" lies on " + kOther.str() + ", expected " + test_device().str() + ", where " + first + " ["),
              std::string::npos)
        << said;
  }
}

TEST(OneDevice, IsWhereTheInputsOfLinearsLie) {
  expect_refused(
      "linear", "x",
      [](Inputs& in) {
        in.tensor("x", {3, 4}), in.tensor("residual", {3, 5});
        in.parameter("weight", {5, 4}), in.parameter("bias", {5});
      },
      [](Inputs& in) { linear(in["x"], in.of("weight"), &in.of("bias"), in["residual"]); });
  const auto adapted = [](Inputs& in) {
    in.parameter("weight", {8, 4}), in.parameter("A", {2, 4}), in.parameter("B", {8, 2});
  };
  expect_refused("adapters", "weight", adapted, [](Inputs& in) {
    AdapterStorage(in.of("weight"), in.of("A"), in.of("B"), 2, 1, {{0, 8, 0}}).refresh(true);
  });
  expect_refused(
      "adapted_linear", "x",
      [&](Inputs& in) {
        in.tensor("x", {3, 4}), in.tensor("residual", {3, 8});
        in.parameter("bias", {8});
      },
      [&](Inputs& in) {
        Inputs own;
        adapted(own);
        AdapterStorage storage(own.of("weight"), own.of("A"), own.of("B"), 2, 1, {{0, 8, 0}});
        storage.refresh(true);
        adapted_linear(in["x"], storage, &in.of("bias"), in["residual"]);
      });
}

TEST(OneDevice, IsWhereTheInputsOfNormsAndEmbeddingsLie) {
  expect_refused(
      "embedding", "ids",
      [](Inputs& in) {
        in.integers("ids", 3), in.parameter("weight", {5, 4});
      },
      [](Inputs& in) { embedding(in["ids"], in.of("weight")); });
  const auto rows = [](Inputs& in) { in.tensor("x", {3, 8}), in.parameter("weight", {8}); };
  const auto shifted = [&](Inputs& in) { rows(in), in.parameter("bias", {8}); };
  expect_refused("rms_norm", "x", rows, [](Inputs& in) { rms_norm(in["x"], in.of("weight"), 1e-6, false); });
  expect_refused("rms_norm", "x", rows, [](Inputs& in) { pass_rms_norm(in["x"], in.of("weight"), 1e-6); });
  expect_refused("layer_norm", "x", shifted,
                 [](Inputs& in) { layer_norm(in["x"], in.of("weight"), &in.of("bias"), 1e-6); });
  expect_refused("layer_norm", "x", shifted,
                 [](Inputs& in) { pass_layer_norm(in["x"], in.of("weight"), &in.of("bias"), 1e-6); });
}

TEST(OneDevice, IsWhereTheInputsOfAttentionLie) {
  for (const bool in_place : {false, true})
    expect_refused(
        "split_qkv", "qkv",
        [](Inputs& in) {
          in.tensor("qkv", {3, 4 * 8}), in.tensor("rope.cos", {3, 4}), in.tensor("rope.sin", {3, 4});
          in.parameter("norm.q", {8}), in.parameter("norm.k", {8});
        },
        [&](Inputs& in) {
          const QkNorm norm{.q = &in.of("norm.q"), .k = &in.of("norm.k")};
          (in_place ? split_qkv_in_place : split_qkv)(in["qkv"], {2, 1, 8}, norm, {in["rope.cos"], in["rope.sin"]});
        });
  expect_refused(
      "attention", "q",
      [](Inputs& in) {
        for (const char* name : {"q", "k", "v"}) in.tensor(name, {3, 2, 8});
        in.tensors["borders"] = at::empty({2}, at::kInt).zero_().to(test_device());
        in.parameter("sinks", {2});
      },
      [](Inputs& in) {
        const std::vector<int64_t> borders = {0, 3};
        attention(in["q"], in["k"], in["v"],
                  {.q_begin = borders, .k_begin = borders, .borders = in["borders"], .sinks = &in.of("sinks")});
      });
}

TEST(OneDevice, IsWhereTheInputsOfTheHeadLie) {
  const auto head = [](Inputs& in) {
    in.tensor("hidden", {3, 4}), in.parameter("weight", {7, 4}), in.parameter("bias", {7});
  };
  const auto labelled = [&](Inputs& in) {
    head(in);
    if (test_device().is_cpu()) in.integers("labels", 3);  // a GPU copies those of the host
  };
  const auto labels = [](Inputs& in) {
    return test_device().is_cpu() ? in["labels"] : at::empty({3}, at::kLong).zero_();
  };
  expect_refused("head_logits", "hidden", head,
                 [](Inputs& in) { head_logits(in["hidden"], in.of("weight"), &in.of("bias"), {}); });
  expect_refused("token_log_probs", "hidden", labelled,
                 [&](Inputs& in) { token_log_probs(in["hidden"], in.of("weight"), &in.of("bias"), labels(in), {}); });
  expect_refused(
      "linear_cross_entropy", "hidden",
      [&](Inputs& in) {
        labelled(in);
        in.tensors["gradient_scale"] = random_tensor({}, 3);
      },
      [&](Inputs& in) {
        linear_cross_entropy(in["hidden"], in.of("weight"), &in.of("bias"), labels(in), 1,
                             {.gradient_scale = in["gradient_scale"]});
      });
}

TEST(OneDevice, IsWhereTheInputsOfAGpusOwnOpsLie) {
  if (test_device().is_cpu()) GTEST_SKIP() << "needs a GPU (tests/gpu/run)";
  expect_refused(
      "product", "out",
      [](Inputs& in) {
        in.tensor("out", {3, 5}), in.tensor("a", {3, 4}), in.tensor("b", {4, 5}), in.tensor("c", {3, 5});
      },
      [](Inputs& in) {
        auto out = in["out"];
        product_gpu(out, in["a"], in["b"], in["c"]);
      });
  Inputs in;
  in.tensor("one", {4}), in.tensor("two", {5});
  EXPECT_THROW(sum_gradients({in["one"], in["two"].cpu()}, 1), CheckError);
  EXPECT_THROW(sum_gradients({in["one"]}, 1, random_tensor({}, 1).cpu()), CheckError);
  AdamItem item{
      .weight = in["one"], .grad = in["one"].cpu(), .m = in["one"], .v = in["one"], .step = random_tensor({}, 1)};
  item.lr = item.decay = 0, item.key = 0;
  EXPECT_THROW(adam_update({item}, {}, {}), CheckError);
}

// What it costs a launch-bound step: some thousand calls.
TEST(OneDevice, IsLookedAtInNanoseconds) {
  const auto x = random_tensor({2, 2}, 1);
  const auto weight = random_parameter({2, 2}, 2);
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 100'000; ++i) expect_one_device("linear", {"x", x}, {{"weight", *weight}, {"residual", x}});
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - began;
  RecordProperty("nanoseconds", std::to_string(took.count() / 100'000));
  EXPECT_LT(took.count() / 100'000, 1000);
}

}  // namespace
}  // namespace automodel::kernels
