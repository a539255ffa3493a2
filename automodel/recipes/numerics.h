// What of a configuration changes the bits of every product and sum of the process.
#pragma once

#include "automodel/config/recipe_config.h"

namespace automodel::recipes {

/// Takes `tf32` and `deterministic` into effect, for the whole process; before the first product on a GPU.
///
/// tf32: fp32 products on a GPU run on its tensor cores, factors rounded to 11 bits; attention in fp32 too, being made
/// of products. Without it fp32 is exact fp32. Nothing changes on a CPU or for bf16 and fp16.
/// deterministic: two runs of one configuration on one machine have the same bits. Fast ways that are not so are left:
/// cuDNN's and flash's backward of attention without an order of addition, products by an algorithm that a test of
/// speed chose (product_gpu.h), cuBLAS in several workspaces at once.
void set_numerics(const config::RecipeConfig& config);

}  // namespace automodel::recipes
