// The door of the ops: what one is given lies on one device.
#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>

#include "automodel/tensor/parameter.h"

namespace automodel::kernels {

/// An input of an op under the name that its header gives it. An undefined tensor or a null parameter is none.
struct OpInput {
  const char* name;
  const at::Tensor* tensor;  // may be null
  const Parameter* parameter = nullptr;

  OpInput(const char* name, const at::Tensor& tensor) : name(name), tensor(&tensor) {}
  OpInput(const char* name, const Parameter* parameter)
      : name(name), tensor(parameter ? &parameter->value() : nullptr), parameter(parameter) {}
  OpInput(const char* name, const Parameter& parameter) : OpInput(name, &parameter) {}
};

[[noreturn]] void refuse_devices(const char* op, const OpInput& first, const OpInput& other);

/// Throws CheckError unless all of them lie on the device of the first: "linear: weight [8, 4] ('lm_head.weight') lies
/// on cpu, expected cuda:0, where x [5, 4] lies". A kernel would take the address all the same, and the program would
/// end with an illegal memory access somewhere later. Compares devices alone: a nanosecond or two an input, no wait.
inline void expect_one_device(const char* op, const OpInput& first, std::initializer_list<OpInput> others) {
  const auto device = first.tensor->device();
  for (const auto& other : others)
    if (other.tensor && other.tensor->defined() && other.tensor->device() != device) refuse_devices(op, first, other);
}

}  // namespace automodel::kernels
