#include "automodel/peft/lora.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <set>

#include "automodel/base/error.h"
#include "automodel/base/testing.h"
#include "automodel/nn/toy_model.h"
#include "automodel/peft/adapter_config.h"
#include "automodel/peft/lora_product.h"

namespace automodel::peft {
namespace {

using Names = std::vector<std::string>;

// --- which linears are adapted

Names adapted_by(const LoraOptions& options, const nn::ToyOptions& toy = {.layers = 2}) {
  const auto model = nn::make_toy_model(toy);
  return apply_lora(*model, options);
}

TEST(Targets, AreNamedByLastPartsWholeNamesOrStars) {
  EXPECT_EQ(adapted_by({.target_modules = {"q_proj"}}),
            (Names{"model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"}));
  EXPECT_EQ(adapted_by({.target_modules = {"mlp.up_proj", "model.layers.1.self_attn.v_proj"}}),
            (Names{"model.layers.0.mlp.up_proj", "model.layers.1.self_attn.v_proj", "model.layers.1.mlp.up_proj"}));
  EXPECT_EQ(adapted_by({.target_modules = {"*layers.0*o_proj"}}), (Names{"model.layers.0.self_attn.o_proj"}));
  EXPECT_THROW(adapted_by({.target_modules = {"*.?_proj"}}), ConfigError) << "'?' is a character like any other";
}

TEST(Targets, AreAllProjectionsByDefaultAndAllButTheExcluded) {
  EXPECT_EQ(adapted_by({}).size(), 14u);
  EXPECT_EQ(adapted_by({.match_all_linear = true}).size(), 14u);  // lm_head is left out, with a warning
  EXPECT_EQ(adapted_by({.exclude_modules = {"*mlp*"}}).size(), 8u);
  EXPECT_EQ(adapted_by({.exclude_modules = {"*mlp*", "lm_head", "layers.0.self_attn.q_proj"}}).size(), 7u);
}

TEST(Targets, ThatMatchNothingAreNamedWithWhatThereIs) {
  const auto said = message_of([] { adapted_by({.target_modules = {"q_proj", "c_attn"}}); });
  EXPECT_NE(said.find("peft.target_modules: 'c_attn' matches no linear"), std::string::npos) << said;
  EXPECT_NE(said.find("q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, lm_head"), std::string::npos)
      << said;
  EXPECT_NE(message_of([] { adapted_by({.target_modules = {"proj"}}); }),
            "");  // part of a word is not a part of a name
  EXPECT_NE(message_of([] { adapted_by({.exclude_modules = {"nothing"}}); }).find("peft.exclude_modules"),
            std::string::npos);
  EXPECT_NE(message_of([] { adapted_by({.target_modules = {"q_proj"}, .exclude_modules = {"k_proj"}}); }), "");
  EXPECT_NE(message_of([] { adapted_by({.rank = 0}); }).find("peft.dim"), std::string::npos);
  EXPECT_THROW(adapted_by({.target_modules = {"lm_head"}}), UnsupportedError);
}

TEST(Targets, ThatAreMistypedAreToldTheNearestName) {
  const auto said = [](const char* pattern) { return message_of([&] { adapted_by({.target_modules = {pattern}}); }); };
  for (const auto& [pattern, meant] : {std::pair{"q_prj", "q_proj"},
                                       {"*.v_porj", "v_proj"},
                                       {"mlp.gate_pro*", "gate_proj"},
                                       {"model.layers.0.selfattn.q_proj", "model.layers.0.self_attn.q_proj"}})
    EXPECT_NE(
        said(pattern).find(std::string(pattern) + "' matches no linear of the model; did you mean " + meant + "?"),
        std::string::npos)
        << said(pattern);
  EXPECT_EQ(said("query_key_value").find("did you mean"), std::string::npos);
}

// Training would go on with nothing to train, or complain of the model.
TEST(Targets, ThatLeaveNothingAreAMistake) {
  for (const Names& excluded : {Names{"*"}, Names{"*_proj"}, Names{"*self_attn*", "*mlp*"}}) {
    const auto said = message_of([&] { adapted_by({.exclude_modules = excluded}); });
    EXPECT_NE(said.find("peft.exclude_modules: leaves no linear to adapt: the output head (lm_head) can have no"),
              std::string::npos)
        << said;
    EXPECT_NE(said.find("its linears: q_proj, k_proj"), std::string::npos) << said;
  }
  EXPECT_THROW(adapted_by({.exclude_modules = {"*"}}), ConfigError);
}

TEST(Freeze, LeavesOnlyAdaptersTrained) {
  const auto model = nn::make_toy_model({.layers = 2, .bias = true});
  apply_lora(*model, {.target_modules = {"q_proj", "v_proj"}, .dora = true});
  initialize_adapters(*model, 1);
  std::set<const Parameter*> of_adapters;
  for (const auto& parameter : adapter_parameters(*model)) of_adapters.insert(parameter.get());
  EXPECT_EQ(adapters(*model).size(), 2u);
  EXPECT_EQ(of_adapters.size(), 6u);
  for (const auto& parameter : model->parameters())
    EXPECT_EQ(parameter->trainable, of_adapters.count(parameter.get()) == 1) << parameter->name();
}

TEST(Names, AreThoseOfPeft) {
  const auto model = nn::make_toy_model({.layers = 1});
  apply_lora(*model, {.target_modules = {"q_proj", "v_proj"}, .rank = 3, .dora = true});
  Names found;
  for (const auto& parameter : adapter_parameters(*model))
    for (const auto& slice : parameter->slices()) found.push_back(slice.name);
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj.",
                    v = "base_model.model.model.layers.0.self_attn.v_proj.";
  EXPECT_EQ(found, (Names{q + "lora_A.weight", v + "lora_A.weight", q + "lora_B.weight", v + "lora_B.weight",
                          q + "lora_magnitude_vector", v + "lora_magnitude_vector"}));
}

TEST(Initialisation, StartsAsTheBase) {
  const auto batch = nn::toy_batch({5, 3});
  for (const bool dora : {false, true}) {
    const auto model = nn::make_toy_model({.bias = true});
    Context context;
    const auto before = nn::forward_hidden(*model, batch, context).clone();
    apply_lora(*model, {.dora = dora});
    initialize_adapters(*model, 1);
    Context fresh;
    // On a GPU the adapters are columns of the base's product, whose sums are then longer by zeros.
    const double bound = dora || test_device().is_cuda() ? device_bound(2e-6) : 1e-12;
    EXPECT_TRUE(is_close(nn::forward_hidden(*model, batch, fresh), before, bound)) << dora;
    for (Lora* lora : adapters(*model)) {
      EXPECT_GT(lora->a()->value().abs().max().item<float>(), 0);
      EXPECT_EQ(lora->b()->value().abs().max().item<float>(), 0);
    }
  }
}

TEST(Scale, IsAlphaOverRankOrOverItsRoot) {
  EXPECT_DOUBLE_EQ((LoraOptions{.rank = 16, .alpha = 32}.scale()), 2);
  EXPECT_DOUBLE_EQ((LoraOptions{.rank = 16, .alpha = 32, .rslora = true}.scale()), 8);
}

// --- the product of all adapters of a fused linear

TEST(LoraProduct, AddsEachPieceInItsPlaceForwardAndBackward) {
  const int64_t in = 7, rank = 3, out = 20, B_rows = 9;
  const std::vector<LoraPiece> pieces = {
      {2, 4, 0}, {6, 2, 4}, {15, 3, 6}};  // columns 0-1, 8-14 and 18-19 are no adapter's
  for (const int64_t T : {0, 1, 13})
    for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, device_bound(2e-6)}, {at::kBFloat16, 0x1p-5}})
      for (const bool x_grad : {true, false}) {
        SCOPED_TRACE(testing::Message() << "T " << T << " " << dtype << " x_grad " << x_grad);
        const auto a = random_parameter({3 * rank, in}, 1, dtype), b = random_parameter({B_rows, rank}, 2, dtype);
        const auto base = random_tensor({T, out}, 3, dtype), dy = random_tensor({T, out}, 4, dtype);
        const auto leaf = [](const at::Tensor& x) { return x.detach().to(at::kDouble).requires_grad_(); };
        const auto x64 = leaf(random_tensor({T, in}, 5, dtype)), a64 = leaf(a->value()), b64 = leaf(b->value()),
                   base64 = leaf(base);
        auto y64 = base64.clone();
        for (size_t j = 0; j < pieces.size(); ++j) {
          const auto& p = pieces[j];
          const auto product = x64.matmul(a64.narrow(0, static_cast<int64_t>(j) * rank, rank).t())
                                   .matmul(b64.narrow(0, p.b_begin, p.rows).t()) *
                               1.7;
          y64.narrow(1, p.begin, p.rows).add_(product);
        }
        y64.backward(dy.to(at::kDouble));
        for (int round = 1; round <= 2; ++round) {
          const auto x = random_tensor({T, in}, 5, dtype).requires_grad_(x_grad),
                     y0 = base.detach().clone().requires_grad_(x_grad);
          const auto y = add_lora_product(y0 * 1, x, *a, *b, rank, 1.7, pieces);
          EXPECT_TRUE(is_close(y, y64, tolerance));
          y.backward(round == 1 ? dy : strided(dy));
          EXPECT_TRUE(is_close(a->grad(), a64.grad() * round, tolerance));
          EXPECT_TRUE(is_close(b->grad(), b64.grad() * round, tolerance));
          if (x_grad) {
            EXPECT_TRUE(is_close(x.grad(), x64.grad(), tolerance));
          }
          if (x_grad) {
            EXPECT_TRUE(is_close(y0.grad(), base64.grad(), tolerance));
          }
        }
        const at::NoGradGuard guard;
        EXPECT_TRUE(
            is_close(add_lora_product(base.clone(), random_tensor({T, in}, 5, dtype), *a, *b, rank, 1.7, pieces), y64,
                     tolerance));
      }
}

// --- a linear with adapters: k and v of a fused q, k, v

struct Adapted {
  nn::Linear linear{{.modules = {"m.q_proj", "m.k_proj", "m.v_proj"}, .rows = {6, 4, 4}, .in = 8, .bias = true},
                    at::kFloat};
  Lora* lora;

  explicit Adapted(const LoraOptions& options) {
    uint64_t key = 0;
    std::vector<ParameterPtr> parameters;
    linear.op->collect(parameters);
    for (const auto& parameter : parameters)
      parameter->set_value(random_tensor(parameter->shape(), ++key)), parameter->trainable = false;
    linear.op = std::make_unique<Lora>(std::move(linear.op), std::vector<int64_t>{1, 2}, options, 77);
    lora = dynamic_cast<Lora*>(linear.op.get());
    for (const auto& parameter : {lora->a(), lora->b()}) parameter->set_value(random_tensor(parameter->shape(), ++key));
    if (lora->magnitude()) lora->magnitude()->set_value(random_tensor(lora->magnitude()->shape(), ++key) + 2);
  }
  at::Tensor run(const at::Tensor& x, bool training = false, uint64_t key = 5) {
    Context context;
    context.training = training;
    context.key = RandomKey{key};
    return linear.forward(x, context);
  }
};

// W x + b + scale B A x, or DoRA's form of it, by PEFT's formula on the rows 6-9 and 10-13.
at::Tensor plain_adapted(const Lora& lora, const at::Tensor& x, const LoraOptions& options, std::vector<at::Tensor> w) {
  const auto view = lora.view();
  const auto weight = view.weight->value().to(at::kDouble), bias = view.bias->value().to(at::kDouble);
  auto y = x.matmul(weight.t()) + bias;
  for (int64_t j = 0; j < 2; ++j) {
    const int64_t row = 6 + 4 * j;
    const auto a = w[0].narrow(0, j * options.rank, options.rank), b = w[1].narrow(0, 4 * j, 4);
    const auto base = x.matmul(weight.narrow(0, row, 4).t()), product = x.matmul(a.t()).matmul(b.t()) * options.scale();
    auto delta = product;
    if (options.dora) {
      const auto norm =
          at::linalg_vector_norm((weight.narrow(0, row, 4) + b.matmul(a) * options.scale()).detach(), 2, {1});
      const auto factor = w[2].narrow(0, 4 * j, 4) / norm;
      delta = (factor - 1) * base + factor * product;
    }
    y = y + at::constant_pad_nd(delta, {row, 10 - row});
  }
  return y;
}

TEST(Lora, EqualsTheFormulaForwardAndBackward) {
  for (const bool dora : {false, true}) {
    const LoraOptions options{.rank = 3, .alpha = 5, .dora = dora, .rslora = true};
    Adapted adapted(options);
    std::vector<ParameterPtr> trained = {adapted.lora->a(), adapted.lora->b()};
    if (dora) trained.push_back(adapted.lora->magnitude());
    std::vector<at::Tensor> w;
    for (const auto& parameter : trained) w.push_back(parameter->value().to(at::kDouble).requires_grad_());
    const auto x = random_tensor({11, 8}, 50).requires_grad_(), x64 = x.detach().to(at::kDouble).requires_grad_();
    const auto dy = random_tensor({11, 14}, 51);
    const auto y = adapted.run(x), y64 = plain_adapted(*adapted.lora, x64, options, w);
    EXPECT_TRUE(is_close(y, y64, device_bound(2e-6)));
    y.backward(dy), y64.backward(dy.to(at::kDouble));
    EXPECT_TRUE(is_close(x.grad(), x64.grad(), device_bound(2e-6)));
    for (size_t i = 0; i < trained.size(); ++i)
      EXPECT_TRUE(is_close(trained[i]->grad(), w[i].grad(), device_bound(3e-6))) << trained[i]->name();
  }
}

TEST(Lora, MayHaveAnotherDtypeThanTheBase) {
  for (const bool dora : {false, true}) {
    const auto model = nn::make_toy_model({.bias = true});
    LoraOptions options{.dora = dora};
    options.dtype = at::kBFloat16;
    apply_lora(*model, options);
    initialize_adapters(*model, 1);
    Lora* lora = adapters(*model).at(0);
    ASSERT_EQ(lora->a()->dtype(), at::kBFloat16);
    const auto x = random_tensor({4, lora->a()->shape()[1]}, 1).requires_grad_();
    Context context;
    const auto y = lora->forward(x, context);
    EXPECT_EQ(y.scalar_type(), at::kFloat);
    y.backward(y.detach() * 0 + 1);
    EXPECT_TRUE(lora->a()->grad().defined() && lora->b()->grad().defined() && x.grad().defined());
  }
}

TEST(Lora, MergedComputesTheSame) {
  for (const bool dora : {false, true}) {
    Adapted adapted({.rank = 3, .alpha = 5, .dora = dora});
    const auto x = random_tensor({11, 8}, 50);
    const auto before = adapted.run(x).detach();
    const auto storage = adapted.lora->view().weight->value();
    const auto kept = storage.clone();
    adapted.linear.op = adapted.lora->merge();
    EXPECT_TRUE(is_close(adapted.run(x), before, device_bound(3e-6)));
    EXPECT_TRUE(storage.equal(kept)) << "the old storage may be the file's own bytes";
    EXPECT_TRUE(adapted.linear.op->view().adapters.empty());
    EXPECT_TRUE(adapted.linear.op->view().weight->value().narrow(0, 0, 6).equal(kept.narrow(0, 0, 6)))
        << "q has no adapter";
  }
}

// --- how a GPU computes them

// Of the first layer's MLP, with adapters by these options; where no GPU is, as on a Hopper one.
bool is_one_function(const LoraOptions& options, at::Device device = at::kCUDA, const nn::ToyOptions& toy = {}) {
  const auto model = nn::make_toy_model(toy, at::kBFloat16);
  apply_lora(*model, options);
  std::vector<nn::Linear*> linears;  // qkv, out, in, down
  model->layers[0]->collect_linears(linears);
  const nn::MlpSpec spec = nn::toy_layer(toy, 0).mlp;
  return nn::mlp_adapters(spec, *linears.at(2)->op, *linears.at(3)->op, device, /*training=*/true).in != nullptr;
}

TEST(AdaptedMlp, IsWhatAnMlpWithAdaptersOnAllItsLinearsRunsAs) {
  EXPECT_TRUE(is_one_function({.rank = 8}));
  EXPECT_TRUE(is_one_function({.rank = 16}));
  EXPECT_FALSE(is_one_function({.rank = 17}));
  EXPECT_TRUE(is_one_function({.rank = 8, .dropout = 0.1}));
  EXPECT_FALSE(is_one_function({.rank = 8, .dropout = 0.1, .dropout_before = true}));
  EXPECT_FALSE(is_one_function({.rank = 8, .dora = true}));
  EXPECT_FALSE(is_one_function({.rank = 8, .dtype = at::kFloat}));
  EXPECT_FALSE(is_one_function({.target_modules = {"q_proj", "up_proj", "down_proj"}, .rank = 8}));
  EXPECT_FALSE(is_one_function({.rank = 8}, at::kCUDA, {.bias = true}));
  EXPECT_FALSE(is_one_function({.rank = 8}, at::kCPU));
}

TEST(Lora, NamesTheKeyThatKeepsItOutOfTheBasesProduct) {
  const auto why = [](const LoraOptions& options) {
    const auto model = nn::make_toy_model({}, at::kBFloat16);
    apply_lora(*model, options);
    return adapters(*model).at(0)->why_beside();
  };
  EXPECT_EQ(why({}), "");
  EXPECT_EQ(why({.dropout = 0.1}), "");
  EXPECT_EQ(why({.dropout = 0.1, .dropout_before = true}), "peft.dropout_position");
  EXPECT_EQ(why({.dora = true}), "");
  EXPECT_EQ(why({.dtype = at::kFloat}), "peft.lora_dtype");
}

TEST(LoraDropout, FallsOnTheAdapterAloneInTrainingOnly) {
  for (const bool dora : {false, true})
    for (const bool before : {false, true}) {
      SCOPED_TRACE(testing::Message() << "dora " << dora << " before " << before);
      const LoraOptions options{.rank = 3, .alpha = 5, .dropout = 0.5, .dropout_before = before, .dora = dora};
      Adapted adapted(options);
      const auto x = random_tensor({50, 8}, 50);
      const auto plain = adapted.run(x, false).detach(), trained = adapted.run(x, true).detach();
      EXPECT_FALSE(trained.narrow(1, 6, 8).equal(plain.narrow(1, 6, 8)));
      EXPECT_TRUE(is_close(trained.narrow(1, 0, 6), plain.narrow(1, 0, 6), device_bound(1e-6))) << "q has no adapter";
      EXPECT_TRUE(trained.equal(adapted.run(x, true).detach())) << "the same key draws the same";
      EXPECT_FALSE(trained.equal(adapted.run(x, true, 6).detach()));
      // On average over keys nothing changes.
      auto sum = plain * 0;
      const int keys = 2000;
      for (int key = 0; key < keys; ++key)
        sum.add_(adapted.run(x.narrow(0, 0, 50), true, static_cast<uint64_t>(key) + 100).detach());
      EXPECT_TRUE(is_close(sum / keys, plain, 0.08));
    }
}

TEST(LoraDropout, AfterDropsOutputsAndBeforeDropsInputs) {
  // One token with one input: dropped before, all outputs of the adapter go together; after, each goes on its own.
  for (const bool before : {false, true}) {
    nn::Linear linear({.modules = {"m.o_proj"}, .rows = {16}, .in = 1}, at::kFloat);
    linear.op->view().weight->set_value(random_tensor({16, 1}, 1) * 0);
    Lora lora(std::move(linear.op), {0}, {.rank = 1, .alpha = 1, .dropout = 0.5, .dropout_before = before}, 7);
    lora.a()->set_value(random_tensor({1, 1}, 2) * 0 + 1), lora.b()->set_value(random_tensor({16, 1}, 3) * 0 + 1);
    int mixed = 0;
    for (uint64_t key = 0; key < 40; ++key) {
      Context context;
      context.training = true, context.key = RandomKey{key};
      const auto y = lora.forward(random_tensor({1, 1}, 4) * 0 + 1, context);
      mixed += y.min().item<float>() != y.max().item<float>();
    }
    EXPECT_EQ(mixed, before ? 0 : 40);
  }
}

// --- adapter_config.json

TEST(AdapterConfig, IsReadBackAsItWasWritten) {
  const auto model = nn::make_toy_model({.layers = 2});
  const LoraOptions options{
      .target_modules = {"q_proj", "v_proj"}, .rank = 4, .alpha = 12, .dropout = 0.1, .dora = true, .rslora = true};
  const auto adapted = apply_lora(*model, options);
  const Json json = adapter_config(options, *model, adapted, "org/base");
  EXPECT_EQ(json.at("target_modules"), (Json{"q_proj", "v_proj"}));
  const auto read = read_adapter_config(json, "adapter_config.json");
  EXPECT_EQ(read.base, "org/base");
  EXPECT_EQ(read.options.rank, 4);
  EXPECT_DOUBLE_EQ(read.options.alpha, 12);
  EXPECT_DOUBLE_EQ(read.options.dropout, 0.1);
  EXPECT_TRUE(read.options.dora && read.options.rslora && read.options.dropout_before);
  EXPECT_EQ(read.options.target_modules, (Names{"q_proj", "v_proj"}));
}

TEST(AdapterConfig, NamesModulesWholeWhereLastPartsWouldSayTooMuch) {
  const auto model = nn::make_toy_model({.layers = 2});
  const LoraOptions options{.target_modules = {"model.layers.1.self_attn.q_proj"}};
  const auto adapted = apply_lora(*model, options);
  EXPECT_EQ(adapter_config(options, *model, adapted, "").at("target_modules"),
            (Json{"model.layers.1.self_attn.q_proj"}));
}

TEST(AdapterConfig, RefusesWhatItCannotApplyByName) {
  const Json good = {{"peft_type", "LORA"}, {"r", 4}, {"lora_alpha", 8}, {"target_modules", {"q_proj"}}};
  EXPECT_NO_THROW(read_adapter_config(good, "f"));
  const std::pair<const char*, Json> refused[] = {{"peft_type", "IA3"},
                                                  {"bias", "all"},
                                                  {"rank_pattern", {{"q_proj", 2}}},
                                                  {"alpha_pattern", {{"q_proj", 2}}},
                                                  {"modules_to_save", {"lm_head"}},
                                                  {"layers_to_transform", {1}},
                                                  {"lora_bias", true},
                                                  {"target_modules", ".*q_proj"}};
  for (const auto& [key, value] : refused) {
    Json json = good;
    json[key] = value;
    const auto said = message_of([&] { read_adapter_config(json, "dir/adapter_config.json"); });
    EXPECT_NE(said.find(std::string("dir/adapter_config.json: ") + key), std::string::npos) << said;
    EXPECT_THROW(read_adapter_config(json, "f"), UnsupportedError) << key;
  }
  for (const char* key : {"r", "lora_alpha", "target_modules", "peft_type"}) {
    Json json = good;
    json.erase(key);
    EXPECT_THROW(read_adapter_config(json, "f"), ConfigError) << key;
    json[key] = Json::object();
    EXPECT_THROW(read_adapter_config(json, "f"), Error) << key;
  }
  EXPECT_THROW(read_adapter_config(Json::array(), "f"), ConfigError);
  for (const auto& [key, value, expected] : std::initializer_list<std::tuple<const char*, Json, const char*>>{
           {"r", "x", "f: r: expected a whole number, got \"x\""},
           {"lora_alpha", true, "f: lora_alpha: expected a number, got true"},
           {"lora_dropout", "x", "f: lora_dropout: expected a number, got \"x\""},
           {"use_dora", 1, "f: use_dora: expected true or false, got 1"},
           {"target_modules", {"q_proj", 3}, "f: target_modules: expected a list of names, got"}}) {
    Json json = good;
    json[key] = value;
    EXPECT_EQ(message_of([&] { read_adapter_config(json, "f"); }).rfind(expected, 0), 0u) << key;
  }
}

}  // namespace
}  // namespace automodel::peft
