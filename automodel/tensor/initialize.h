// Random initialisation of a parameter by its own rule.
#pragma once

#include "automodel/tensor/parameter.h"

namespace automodel {

/// Fills a parameter by its Init where it lies, allocating it on the CPU if it has no storage. The numbers of a slice
/// depend on (seed, its name, its place in the slice) alone, not on the order of calls or the number of threads.
void initialize(Parameter& parameter, uint64_t seed);

/// The same rule by the device's own generator, for weights of which there are too many for the CPU: other numbers, of
/// the same distribution, a function of (seed, name of the slice) too. REQUIRES storage on a GPU.
void initialize_on_device(Parameter& parameter, uint64_t seed);

}  // namespace automodel
