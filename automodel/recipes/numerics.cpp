#include "automodel/recipes/numerics.h"

#include <ATen/Context.h>

#include <cstdlib>

namespace automodel::recipes {

void set_numerics(const config::RecipeConfig& config) {
  auto& context = at::globalContext();
  context.setAllowTF32CuBLAS(config.tf32);
  // cuBLAS reads it when its first handle is made; libtorch refuses deterministic products without it.
  if (config.deterministic) ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  context.setDeterministicAlgorithms(config.deterministic, false);
  context.setDeterministicFillUninitializedMemory(false);  // nothing here reads what it has not written
}

}  // namespace automodel::recipes
