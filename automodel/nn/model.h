// Model: a row of blocks, embedding first, head last.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "automodel/nn/decoder.h"

namespace automodel::nn {

class Model {
 public:
  std::unique_ptr<Embedding> embedding;
  std::vector<std::unique_ptr<Block>> layers;
  std::unique_ptr<Head> head;
  at::Device device{at::kCPU};  // of the parameters, and of the batches it takes

  /// embedding, layers, head: the order of the forward.
  std::vector<Block*> row() const;
  /// Every parameter once, tied ones with their owner, in checkpoint order.
  std::vector<ParameterPtr> parameters() const;
  std::vector<Linear*> linears() const;
  /// True if the head's weight is the embedding's.
  bool tied() const;
};

/// hidden states of the last layer, [T, H], without gradient and without the head: scoring and generation.
at::Tensor forward_hidden(Model& model, const Batch& batch, Context& context);

}  // namespace automodel::nn
