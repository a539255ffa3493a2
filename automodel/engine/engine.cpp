#include "automodel/engine/engine.h"

#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones_like.h>

#include "automodel/base/error.h"

namespace automodel::engine {

namespace {
// Holds a block's parameters for as long as it runs.
class Acquired {
 public:
  Acquired(nn::BlockPolicy& policy, nn::Block& block) : policy_(policy), block_(block) { policy_.acquire(block_); }
  ~Acquired() { policy_.release(block_); }
  Acquired(const Acquired&) = delete;

 private:
  nn::BlockPolicy& policy_;
  nn::Block& block_;
};

bool trains(const nn::Block& block) {
  std::vector<ParameterPtr> parameters;
  block.collect(parameters);
  return std::any_of(parameters.begin(), parameters.end(), [](const auto& p) { return p->trainable; });
}

at::Tensor as_leaf(const at::Tensor& tensor, bool wants_grad) {
  return tensor.defined() && tensor.is_floating_point() ? tensor.detach().requires_grad_(wants_grad) : tensor;
}

// A gradient on its way out of a graph; held by the graph that brings it and by the visit that takes it.
struct Caught : torch::CustomClassHolder {
  at::Tensor gradient;
};
using CaughtPtr = c10::intrusive_ptr<Caught>;

// Passes x on and keeps the gradient that comes back, as it comes: a leaf would copy one whose rows have gaps.
struct CatchGradient : torch::autograd::Function<CatchGradient> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x, const CaughtPtr& caught) {
    ctx->saved_data["caught"] = c10::IValue::make_capsule(caught);
    return x;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list grads) {
    static_cast<Caught&>(*ctx->saved_data["caught"].toCapsule()).gradient = grads[0];
    return {at::Tensor(), at::Tensor()};
  }
};

void add_to(at::Tensor& sum, const at::Tensor& term) {
  if (!term.defined()) return;
  if (sum.defined())
    sum = sum + term;
  else
    sum = term;
}

at::Tensor weighted_sum(const std::vector<LossTerm>& terms) {
  at::Tensor sum;
  for (const auto& term : terms) add_to(sum, term.weight == 1 ? term.value : term.value * term.weight);
  AM_CHECK(sum.defined(), "no block of the model put out a loss");
  return sum;
}

bool finite(const at::Tensor& tensor) { return !tensor.is_floating_point() || at::isfinite(tensor).all().item<bool>(); }
}  // namespace

struct Engine::Visit {
  nn::Block* block;
  Flow input;   // leaves of the block's graph
  Flow output;  // roots; empty if the block runs again in the backward
  bool has_graph = false;
  bool wants_input_grad = false;
  CaughtPtr hidden = c10::make_intrusive<Caught>();  // what the backward brings to input.hidden

  // What the block takes in: the leaves, with the hidden states' gradient caught. With gradients on.
  Flow caught() const {
    Flow flow = input;
    if (input.hidden.defined() && input.hidden.requires_grad())
      flow.hidden = CatchGradient::apply(input.hidden, hidden);
    return flow;
  }
};

Engine::Engine(nn::Model& model, Recompute recompute, nn::BlockPolicy* policy)
    : model_(model), recompute_(recompute), policy_(policy ? policy : &none_) {}

// Runs one block on leaves cut from `flow`, and puts what comes out into `flow`, cut again.
Engine::Visit Engine::run(nn::Block& block, Flow& flow, const Batch& batch, Context& context, bool with_graph,
                          bool wants_input_grad) {
  Visit visit{&block, {}, {}, with_graph, wants_input_grad};
  visit.input.hidden = as_leaf(flow.hidden, wants_input_grad);
  for (const auto& [name, extra] : flow.extras) visit.input.extras[name] = as_leaf(extra, wants_input_grad);
  Flow out;
  {
    const Acquired acquired(*policy_, block);
    const at::AutoGradMode mode(with_graph);
    out = block.forward(with_graph ? visit.caught() : visit.input, batch, context);
  }
  flow.hidden = out.hidden.detach();
  for (const auto& [name, extra] : out.extras) {
    const auto given = visit.input.extras.find(name);
    AM_CHECK(given == visit.input.extras.end() || given->second.is_same(extra), "{} assigned the extra '{}' again",
             block.name(), name);
    flow.extras[name] = extra.detach();
  }
  for (const auto& term : out.losses) flow.losses.push_back({term.name, term.value.detach(), term.weight});
  if (with_graph) visit.output = std::move(out);
  return visit;
}

at::Tensor Engine::forward_loss(const Batch& batch, Context& context) {
  Flow flow;
  for (nn::Block* block : model_.row()) run(*block, flow, batch, context, false, false);
  return weighted_sum(flow.losses);
}

at::Tensor Engine::forward_backward(const Batch& batch, Context& context) {
  const auto row = model_.row();
  size_t start = 0;  // blocks before it train nothing: no graph, and the backward stops there
  while (start < row.size() && !trains(*row[start])) ++start;
  AM_CHECK(start < row.size(), "nothing is trained");

  context.remakes = recompute_ == Recompute::Selective;
  Flow flow;
  std::vector<Visit> visits;
  for (size_t i = 0; i < row.size(); ++i) {
    const bool is_layer = i > 0 && i + 1 < row.size();
    const bool again = recompute_ == Recompute::Full && is_layer;
    auto visit = run(*row[i], flow, batch, context, i >= start && !again, i > start);
    if (i >= start) visits.push_back(std::move(visit));
  }
  const auto loss = weighted_sum(flow.losses);
  if (at_turn) at_turn();

  Flow grads;
  flow = {};
  for (; !visits.empty(); visits.pop_back()) backward(visits.back(), grads, batch, context);
  return loss;
}

// `grads` holds the gradients of what the block put out, and afterwards those of what it took in.
void Engine::backward(Visit& visit, Flow& grads, const Batch& batch, Context& context) {
  const Acquired acquired(*policy_, *visit.block);
  if (!visit.has_graph) {
    const at::AutoGradMode mode(true);
    context.recomputing = true;
    visit.output = visit.block->forward(visit.caught(), batch, context);
    context.recomputing = false;
  }
  std::vector<at::Tensor> roots, root_grads;
  const auto add_root = [&](const at::Tensor& root, const at::Tensor& grad) {
    if (root.defined() && root.requires_grad() && grad.defined()) roots.push_back(root), root_grads.push_back(grad);
  };
  add_root(visit.output.hidden, grads.hidden);
  for (const auto& [name, extra] : visit.output.extras)
    if (!visit.input.extras.count(name)) add_root(extra, grads.extras[name]);  // assigned here: its gradient ends here
  for (const auto& term : visit.output.losses) add_root(term.value, at::ones_like(term.value) * term.weight);
  if (!roots.empty()) torch::autograd::backward(roots, root_grads);

  grads.hidden = visit.hidden->gradient;
  for (const auto& [name, extra] : visit.output.extras)
    if (!visit.input.extras.count(name)) grads.extras.erase(name);
  for (const auto& [name, extra] : visit.input.extras) add_to(grads.extras[name], extra.grad());  // passed on or not
  policy_->reduce(*visit.block);
}

std::string Engine::find_non_finite(const Batch& batch, Context& context) {
  const at::NoGradGuard guard;
  for (const auto& parameter : model_.parameters())
    if (parameter->has_value() && !finite(parameter->value())) return "parameter " + parameter->name();
  Flow flow;
  for (nn::Block* block : model_.row()) {
    run(*block, flow, batch, context, false, false);
    if (!finite(flow.hidden)) return "output of " + block->name();
  }
  for (const auto& term : flow.losses)
    if (!finite(term.value)) return "loss";
  // Last: a forward that went wrong leaves no gradient finite.
  for (const auto& parameter : model_.parameters())
    if (parameter->grad().defined() && !finite(parameter->grad())) return "gradient of " + parameter->name();
  return "";
}

}  // namespace automodel::engine
