// benchmark: what the benchmark recipe measures: mock data, no clipping, no schedule, no validation, no checkpoint.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace automodel::config {

struct BenchmarkSection {
  int64_t warmup_steps = 10;
  std::optional<double> peak_tflops;
  std::string json_output_path;
  std::string profile_path;

  template <class F>
  void describe(F& f) {
    f("warmup_steps", warmup_steps, "steps that are not counted", "int[0,]");
    f("peak_tflops", peak_tflops,
      "what the device can do at best in TFLOP/s, for the MFU; null: as the data sheets of common GPUs say",
      "float(0,]|null");
    f("json_output_path", json_output_path, "file of the summary", "string|null");
    f("profile_path", profile_path,
      "file of a Chrome trace of three more steps, whose kernels the summary then lists; also --profile FILE",
      "string|null");
  }
};

}  // namespace automodel::config
