// The walk against one joint autograd graph over the same blocks: losses and gradients must be equal, whatever is
// recomputed, taken away between the visits, or handed from block to block.
#include "automodel/engine/engine.h"

#include <ATen/ops/tanh.h>

#include "automodel/base/error.h"
#include "automodel/kernels/linear/linear.h"
#include "automodel/nn/toy_model.h"

namespace automodel::engine {
namespace {

using nn::ToyOptions;

Context context_for(const Batch& batch, bool training = false) {
  Context context;
  context.loss_scale = 1.0 / static_cast<double>(batch.trained_tokens);
  context.training = training;
  context.key = RandomKey{3, 4};
  return context;
}

struct Run {
  double loss = 0;
  std::map<std::string, at::Tensor> grads;
};

Run collect_run(nn::Model& model, double loss) {
  Run run{loss, {}};
  for (const auto& parameter : model.parameters()) {
    if (parameter->grad().defined()) run.grads[parameter->name()] = parameter->grad().clone();
    parameter->clear_grad();
  }
  return run;
}

Run run_engine(nn::Model& model, const Batch& batch, Recompute recompute = Recompute::None,
               nn::BlockPolicy* policy = nullptr, bool training = false) {
  auto context = context_for(batch, training);
  const double loss = Engine(model, recompute, policy).forward_backward(batch, context).item<double>();
  return collect_run(model, loss);
}

Run run_joint_graph(nn::Model& model, const Batch& batch, bool training = false) {
  auto context = context_for(batch, training);
  Flow flow;
  for (nn::Block* block : model.row()) flow = block->forward(std::move(flow), batch, context);
  at::Tensor total;
  for (const auto& term : flow.losses)
    total = total.defined() ? total + term.value * term.weight : term.value * term.weight;
  total.backward();
  return collect_run(model, total.item<double>());
}

void expect_equal(const Run& found, const Run& expected, double tolerance) {
  EXPECT_NEAR(found.loss, expected.loss, tolerance * std::abs(expected.loss));
  EXPECT_EQ(found.grads.size(), expected.grads.size());
  for (const auto& [name, grad] : expected.grads) {
    ASSERT_TRUE(found.grads.count(name)) << name;
    if (tolerance == 0) {
      EXPECT_TRUE(found.grads.at(name).equal(grad)) << name;
    } else {
      EXPECT_TRUE(is_close(found.grads.at(name), grad, tolerance)) << name;
    }
  }
}

const std::vector<int64_t> kLengths = {5, 1, 17, 2, 9};
constexpr Recompute kChoices[] = {Recompute::None, Recompute::Selective, Recompute::Full};

TEST(Engine, EqualsOneJointGraph) {
  for (const bool tied : {false, true})
    for (const bool training : {false, true}) {
      const auto model = nn::make_toy_model({.window = 4, .tied = tied, .bias = true, .dropout = 0.2});
      const auto batch = nn::toy_batch(kLengths);
      const auto joint = run_joint_graph(*model, batch, training);
      EXPECT_EQ(joint.grads.size(), model->parameters().size());
      for (const auto recompute : kChoices)
        expect_equal(run_engine(*model, batch, recompute, nullptr, training), joint, device_bound(1e-6));
    }
}

TEST(Engine, RecomputationChangesNoBitEvenWithDropout) {
  const auto model = nn::make_toy_model({.window = 4, .dropout = 0.3});
  const auto batch = nn::toy_batch(kLengths);
  const auto plain = run_engine(*model, batch, Recompute::None, nullptr, true);
  for (const auto recompute : {Recompute::Selective, Recompute::Full})
    expect_equal(run_engine(*model, batch, recompute, nullptr, true), plain, 0);
}

TEST(Engine, GradientIsTheSlopeOfTheLoss) {
  const auto model = nn::make_toy_model({.layers = 2});
  const auto batch = nn::toy_batch(kLengths);
  const auto run = run_engine(*model, batch);
  auto context = context_for(batch);
  Engine engine(*model);
  EXPECT_NEAR(engine.forward_loss(batch, context).item<double>(), run.loss, 1e-6);
  uint64_t key = 0;
  for (const auto& parameter : model->parameters()) {
    const auto direction = random_tensor(parameter->shape(), ++key);
    const auto value = parameter->value().clone();
    const auto loss_at = [&](double step) {
      parameter->set_value(value + direction * static_cast<float>(step));
      auto fresh = context_for(batch);
      return engine.forward_loss(batch, fresh).item<double>();
    };
    const double h = 2e-3, slope = (loss_at(h) - loss_at(-h)) / (2 * h);
    parameter->set_value(value);
    const double expected = (run.grads.at(parameter->name()) * direction).sum().item<double>();
    EXPECT_NEAR(slope, expected, 2e-2 * std::abs(expected) + 2e-3) << parameter->name();
  }
}

TEST(Engine, MicrobatchesAddUp) {
  const auto model = nn::make_toy_model();
  const auto whole = nn::toy_batch(kLengths);
  const auto expected = run_engine(*model, whole);
  double loss = 0;
  Engine engine(*model);
  // The same documents one by one, cut from the whole batch, under the whole's scale.
  for (int64_t d = 0; d < whole.documents(); ++d) {
    const int64_t begin = whole.cu_seqlens[d], n = whole.cu_seqlens[d + 1] - begin;
    auto context = context_for(whole);
    loss += engine.forward_backward(nn::part_of(whole, begin, n), context).item<double>();
  }
  expect_equal(collect_run(*model, loss), expected, device_bound(2e-6));
}

// --- extras and losses from block to block

struct ToyBlock : nn::Block {
  using Block::Block;
  void collect(std::vector<ParameterPtr>& out) const override {
    if (weight) out.push_back(weight);
  }
  ParameterPtr weight;
};

// extras[name] = hidden W^T; hidden passes through.
struct Assigns : ToyBlock {
  Assigns(const std::string& name, int64_t hidden) : ToyBlock(name) {
    weight = std::make_shared<Parameter>(name + ".weight", std::vector<int64_t>{hidden, hidden}, at::kFloat, Init{});
  }
  Flow forward(Flow flow, const Batch&, Context&) override {
    flow.extras[name()] = kernels::linear(flow.hidden, *weight, nullptr);
    return flow;
  }
};

// hidden += tanh(sum of the extras); puts the flow out whole, or only its hidden states.
struct Reads : ToyBlock {
  Reads(const std::string& name, std::vector<std::string> extras, bool keeps)
      : ToyBlock(name), extras(std::move(extras)), keeps(keeps) {}
  Flow forward(Flow flow, const Batch&, Context&) override {
    auto sum = flow.extras.at(extras[0]);
    for (size_t i = 1; i < extras.size(); ++i) sum = sum + flow.extras.at(extras[i]);
    flow.hidden = flow.hidden + at::tanh(sum);
    if (!keeps) flow.extras.clear();
    return flow;
  }
  std::vector<std::string> extras;
  bool keeps;
};

struct AddsLoss : ToyBlock {
  using ToyBlock::ToyBlock;
  Flow forward(Flow flow, const Batch&, Context&) override {
    flow.losses.push_back({name(), flow.hidden.pow(2).mean(), 0.7});
    return flow;
  }
};

template <class B, class... A>
void insert(nn::Model& model, size_t at, A&&... arguments) {
  model.layers.insert(model.layers.begin() + static_cast<int64_t>(at),
                      std::make_unique<B>(std::forward<A>(arguments)...));
}

// decoder, assigns a, reads a, decoder, assigns b, adds a loss, reads a and b, decoder
std::unique_ptr<nn::Model> model_with_extras(bool last_reader_keeps) {
  const ToyOptions options{.layers = 3};
  auto model = nn::make_toy_model(options);
  insert<Assigns>(*model, 1, "a", options.hidden);
  insert<Reads>(*model, 2, "first reader", std::vector<std::string>{"a"}, true);
  insert<Assigns>(*model, 4, "b", options.hidden);
  insert<AddsLoss>(*model, 5, "aux");
  insert<Reads>(*model, 6, "second reader", std::vector<std::string>{"a", "b"}, last_reader_keeps);
  nn::fill_toy(*model, options.scale);
  return model;
}

TEST(EngineExtras, CarryTheirGradientsToTheBlockThatAssignedThem) {
  for (const bool keeps : {true, false}) {
    const auto model = model_with_extras(keeps);
    const auto batch = nn::toy_batch(kLengths);
    const auto joint = run_joint_graph(*model, batch);
    ASSERT_TRUE(joint.grads.count("a.weight") && joint.grads.count("b.weight"));
    for (const auto recompute : kChoices) {
      SCOPED_TRACE(testing::Message() << "keeps " << keeps << " recompute " << static_cast<int>(recompute));
      expect_equal(run_engine(*model, batch, recompute), joint, device_bound(1e-6));
    }
  }
}

TEST(EngineExtras, ThatNobodyReadsCostNothing) {
  const ToyOptions options{.layers = 2};
  const auto plain = nn::make_toy_model(options), with = nn::make_toy_model(options);
  const auto batch = nn::toy_batch(kLengths);
  const auto expected = run_engine(*plain, batch);
  insert<Assigns>(*with, 1, "a", options.hidden);
  nn::fill_toy(*with, options.scale);
  expect_equal(run_engine(*with, batch), expected, device_bound(1e-6));
}

TEST(EngineExtras, AreAssignedOnce) {
  const auto model = nn::make_toy_model({.layers = 1});
  insert<Assigns>(*model, 0, "a", 16);
  insert<Assigns>(*model, 1, "a", 16);
  nn::fill_toy(*model, 0.3f);
  EXPECT_THROW(run_engine(*model, nn::toy_batch({3})), CheckError);
}

// --- policies

// Takes every parameter's value away outside acquire and release, and spoils what anybody kept of it.
struct Streaming : nn::BlockPolicy {
  explicit Streaming(nn::Model& model) {
    for (const auto& parameter : model.parameters()) take(*parameter);
  }
  void take(Parameter& parameter) {
    store[&parameter] = parameter.value().clone();
    parameter.value().fill_(NAN);
    parameter.set_value({});
  }
  void acquire(nn::Block& block) override {
    log.push_back("acquire " + block.name());
    std::vector<ParameterPtr> parameters;
    block.collect(parameters);
    for (const auto& parameter : parameters)
      if (held[parameter.get()]++ == 0) parameter->set_value(store.at(parameter.get()).clone());
  }
  void release(nn::Block& block) override {
    log.push_back("release " + block.name());
    std::vector<ParameterPtr> parameters;
    block.collect(parameters);
    for (const auto& parameter : parameters)
      if (--held[parameter.get()] == 0) take(*parameter);
  }
  void reduce(nn::Block& block) override {
    log.push_back("reduce " + block.name());
    std::vector<ParameterPtr> parameters;
    block.collect(parameters);
    for (const auto& parameter : parameters)
      EXPECT_TRUE(parameter->has_value()) << "reduce of " << block.name() << " outside its acquire";
  }
  std::map<Parameter*, at::Tensor> store;
  std::map<Parameter*, int> held;
  std::vector<std::string> log;
};

TEST(EnginePolicy, WeightsMayBeAwayBetweenForwardAndBackward) {
  for (const auto recompute : kChoices)
    for (const bool tied : {false, true}) {
      const auto model = nn::make_toy_model({.window = 3, .tied = tied, .bias = true});
      const auto batch = nn::toy_batch(kLengths);
      const auto plain = run_engine(*model, batch, recompute);
      Streaming policy(*model);
      expect_equal(run_engine(*model, batch, recompute, &policy), plain, 0);
      for (const auto& [parameter, count] : policy.held) EXPECT_EQ(count, 0) << parameter->name();
      auto context = context_for(batch);
      EXPECT_EQ(Engine(*model, recompute, &policy).forward_loss(batch, context).item<double>(), plain.loss);
      for (const auto& [parameter, count] : policy.held) EXPECT_EQ(count, 0) << parameter->name();
    }
}

TEST(EnginePolicy, IsCalledInTheOrderOfTheWalk) {
  const auto model = nn::make_toy_model({.layers = 2});
  Streaming policy(*model);
  run_engine(*model, nn::toy_batch({4}), Recompute::Full, &policy);
  const std::vector<std::string> row = {"model.embed_tokens", "model.layers.0", "model.layers.1", "lm_head"};
  std::vector<std::string> expected;
  for (const auto& name : row) expected.insert(expected.end(), {"acquire " + name, "release " + name});
  for (auto name = row.rbegin(); name != row.rend(); ++name)
    expected.insert(expected.end(), {"acquire " + *name, "reduce " + *name, "release " + *name});
  EXPECT_EQ(policy.log, expected);
}

struct Throws : ToyBlock {
  using ToyBlock::ToyBlock;
  Flow forward(Flow flow, const Batch&, Context& context) override {
    if (context.recomputing) throw DataError("toy", "fails in the backward");
    flow.hidden = flow.hidden * 2;
    return flow;
  }
};

TEST(EnginePolicy, IsBalancedWhenABlockThrows) {
  const auto model = nn::make_toy_model({.layers = 2});
  insert<Throws>(*model, 1, "throws");
  Streaming policy(*model);
  EXPECT_THROW(run_engine(*model, nn::toy_batch({4}), Recompute::Full, &policy), DataError);
  for (const auto& [parameter, count] : policy.held) EXPECT_EQ(count, 0) << parameter->name();
}

// --- frozen parts

struct Probe : ToyBlock {
  using ToyBlock::ToyBlock;
  Flow forward(Flow flow, const Batch&, Context&) override {
    graph = at::GradMode::is_enabled(), input_grad = flow.hidden.requires_grad();
    flow.hidden = flow.hidden * 1;
    return flow;
  }
  bool graph = false, input_grad = false;
};

TEST(EngineFrozen, BlocksBeforeTheFirstTrainedOneRunWithoutAGraph) {
  const auto model = nn::make_toy_model({.layers = 3});
  const auto batch = nn::toy_batch(kLengths);
  const auto all = run_engine(*model, batch);
  for (const auto& parameter : model->parameters()) parameter->trainable = false;
  std::vector<ParameterPtr> of_layer;
  model->layers[1]->collect(of_layer);
  for (const auto& parameter : of_layer) parameter->trainable = true;
  insert<Probe>(*model, 1, "before");
  insert<Probe>(*model, 3, "after");
  Streaming policy(*model);
  const auto run = run_engine(*model, batch, Recompute::None, &policy);
  const auto &before = dynamic_cast<Probe&>(*model->layers[1]), &after = dynamic_cast<Probe&>(*model->layers[3]);
  EXPECT_FALSE(before.graph);
  EXPECT_TRUE(after.graph && after.input_grad);
  EXPECT_EQ(run.grads.size(), of_layer.size());
  for (const auto& [name, grad] : run.grads)
    EXPECT_TRUE(is_close(grad, all.grads.at(name), device_bound(1e-6))) << name;
  size_t reduced = 0;
  for (const auto& line : policy.log) reduced += line.starts_with("reduce");
  EXPECT_EQ(reduced,
            4u);  // layer 1, the probe after it, layer 2, the head: the backward stops at the first trained block
}

TEST(EngineFrozen, NothingTrainedIsAFault) {
  const auto model = nn::make_toy_model({.layers = 1});
  for (const auto& parameter : model->parameters()) parameter->trainable = false;
  EXPECT_THROW(run_engine(*model, nn::toy_batch({3})), CheckError);
}

// --- where numbers went wrong

TEST(FindNonFinite, NamesTheFirstPlace) {
  const auto batch = nn::toy_batch({6});
  const auto found = [&](nn::Model& model) {
    auto context = context_for(batch);
    return Engine(model).find_non_finite(batch, context);
  };
  EXPECT_EQ(found(*nn::make_toy_model()), "");
  {
    const auto model = nn::make_toy_model();
    std::vector<ParameterPtr> of_layer;
    model->layers[1]->collect(of_layer);
    of_layer.back()->value().flatten()[3].fill_(NAN);
    EXPECT_EQ(found(*model), "parameter " + of_layer.back()->name());
  }
  {
    const auto model = nn::make_toy_model();
    run_engine(*model, batch);
    auto context = context_for(batch);
    Engine(*model).forward_backward(batch, context);
    const auto first = model->parameters()[3];
    first->mutable_grad().fill_(INFINITY);
    EXPECT_EQ(found(*model), "gradient of " + first->name());
  }
  {
    const auto model = nn::make_toy_model();  // finite weights whose product is not
    std::vector<ParameterPtr> of_layer;
    model->layers[1]->collect(of_layer);
    for (const auto& parameter : of_layer) parameter->value().mul_(1e30f);
    EXPECT_EQ(found(*model), "output of model.layers.1");
  }
}

}  // namespace
}  // namespace automodel::engine
