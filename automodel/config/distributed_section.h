// distributed and dist_env: how ranks share the work, and activation checkpointing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace automodel::config {

struct DistributedSection {
  std::optional<int64_t> dp_size;  ///< nullopt: what the other sizes leave
  int64_t tp_size = 1, pp_size = 1, cp_size = 1, ep_size = 1;
  std::string activation_checkpointing =
      "false";                             ///< false, true, full, selective or auto; none is null, and the default
  std::optional<double> memory_limit_gib;  ///< nullopt: what the GPU has free; on the CPU no limit

  template <class F>
  void describe(F& f) {
    f("dp_size", dp_size, "data-parallel ranks; null: what the other sizes leave", "int[1,]|null");
    f("tp_size", tp_size, "tensor-parallel ranks", "int[1,]|null");
    f("pp_size", pp_size, "pipeline stages", "int[1,]|null");
    f("cp_size", cp_size, "context-parallel ranks", "int[1,]|null");
    f("ep_size", ep_size, "expert-parallel ranks", "int[1,]|null");
    f("activation_checkpointing", activation_checkpointing,
      "what runs again in the backward instead of being kept: false and none nothing, selective norms and activations, "
      "full and true whole layers; auto takes the fastest that fits into the memory",
      "bool|=full|=selective|=auto|null");
    f("memory_limit_gib", memory_limit_gib,
      "memory of the device that may be filled: auto fits it, and a run that needs more is refused at its start; null: "
      "what a GPU has free",
      "float(0,]|null");
  }
};

struct DistEnvSection {
  std::string backend = "nccl";
  double timeout_minutes = 1;
  std::optional<std::string> init_method;

  template <class F>
  void describe(F& f) {
    f("backend", backend, "how ranks talk", "=nccl|=gloo|=cpu:gloo,cuda:nccl|=cuda:nccl,cpu:gloo");
    f("timeout_minutes", timeout_minutes, "how long a rank waits for another", "float(0,]");
    f("init_method", init_method, "how ranks find each other", "=env://|null");
  }
};

}  // namespace automodel::config
