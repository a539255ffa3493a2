#include "automodel/nn/model.h"

#include <unordered_set>

namespace automodel::nn {

std::vector<Block*> Model::row() const {
  std::vector<Block*> row = {embedding.get()};
  for (const auto& layer : layers) row.push_back(layer.get());
  row.push_back(head.get());
  return row;
}

std::vector<ParameterPtr> Model::parameters() const {
  std::vector<ParameterPtr> all, unique;
  for (const Block* block : row()) block->collect(all);
  std::unordered_set<const Parameter*> seen;
  for (auto& parameter : all)
    if (seen.insert(parameter.get()).second) unique.push_back(std::move(parameter));
  return unique;
}

std::vector<Linear*> Model::linears() const {
  std::vector<Linear*> linears;
  for (Block* block : row()) block->collect_linears(linears);
  return linears;
}

bool Model::tied() const {
  std::vector<ParameterPtr> of_head;
  head->collect(of_head);
  for (const auto& parameter : of_head)
    if (parameter == embedding->weight()) return true;
  return false;
}

at::Tensor forward_hidden(Model& model, const Batch& batch, Context& context) {
  at::NoGradGuard guard;
  Flow flow = model.embedding->forward({}, batch, context);
  for (const auto& layer : model.layers) flow = layer->forward(std::move(flow), batch, context);
  return flow.hidden;
}

}  // namespace automodel::nn
