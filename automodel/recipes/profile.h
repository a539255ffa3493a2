// Profile: where the time of some steps went, as a table by kind of kernel and as a Chrome trace.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::recipes {

/// Something that ran: a kernel on a GPU's stream, an operator on a thread of the CPU.
struct ProfiledSpan {
  std::string name;
  int64_t lane;  // stream or thread: spans of one lane follow or enclose each other
  uint64_t begin_ns, end_ns;
};

struct ProfileRow {
  std::string name;
  int64_t launches = 0;
  double ms = 0;  // its own time: without what it encloses
};

struct ProfileSummary {
  int64_t steps = 0;
  double span_ms = 0;                         // from the first begin to the last end
  double busy_ms = 0;                         // of them something ran; the rest the device waited for the host
  std::vector<ProfileRow> families, kernels;  // longest first; of all steps together

  double idle_share() const { return span_ms > 0 ? 1 - busy_ms / span_ms : 0; }
  Json json() const;
  /// A table of the families and of the twenty longest kernels, a step each.
  std::string text() const;
};

/// The kind of work of a kernel or operator, by its name: "products", "attention", "norms", ..., or "other".
std::string kernel_family(const std::string& name);

ProfileSummary summarize(std::vector<ProfiledSpan> spans, int64_t steps);

/// Records from its making to finish(). On a GPU its kernels, else libtorch's operators. One at a time in a process.
class Profiler {
 public:
  explicit Profiler(c10::Device device);
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  /// Waits for the device; writes a Chrome trace (chrome://tracing, Perfetto) unless `trace` is empty. Throws
  /// SystemError when the file cannot be written.
  ProfileSummary finish(int64_t steps, const std::filesystem::path& trace);

 private:
  c10::Device device_;
  bool running_ = true;
};

}  // namespace automodel::recipes
