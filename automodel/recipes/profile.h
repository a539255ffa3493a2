// Profile: where the time of some steps went, as a table by kind of kernel and as a Chrome trace.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "automodel/base/error.h"
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

/// The calls with which the host waited for a GPU, by name: cudaStreamSynchronize and its like, copies that return when
/// all is done ("cudaMemcpy"), and copies into memory that is not pinned ("Memcpy DtoH (Device -> Pageable)"), in which
/// the call blocks though it is named asynchronous. A value read back (item()) shows as such a copy and the
/// cudaStreamSynchronize after it.
struct HostWaits {
  std::vector<ProfileRow> launching;  // while it launched steps: none, or the GPU may run dry
  std::vector<ProfileRow> reading;    // while it read the numbers of the step before the one just launched: its event,
                                      // by design; the GPU has a whole step to do meanwhile
};

struct ProfileSummary {
  int64_t steps = 0;
  double span_ms = 0;                         // from the first begin to the last end
  double busy_ms = 0;                         // of them something ran; the rest the device waited for the host
  std::vector<ProfileRow> families, kernels;  // longest first; of all steps together
  std::optional<HostWaits> waits;             // of all steps together; nothing on the CPU, which is its own host
  std::optional<SystemError> unsaved;         // why the trace was not written, where it was not

  double idle_share() const { return span_ms > 0 ? 1 - busy_ms / span_ms : 0; }
  Json json() const;
  /// A table of the families and of the twenty longest kernels, a step each, and of the host's waits.
  std::string text() const;
};

/// The kind of work of a kernel or operator, by its name: "products", "attention", "norms", ..., or "other".
std::string kernel_family(const std::string& name);

ProfileSummary summarize(std::vector<ProfiledSpan> spans, int64_t steps);

/// Whether a call of CUDA's by this name, or a copy that ran on the device, kept the host waiting.
bool waits_for_device(const std::string& name);

/// What the profiler calls the two things that the host does in turn.
inline constexpr const char* kLaunchScope = "automodel: launch a step";
inline constexpr const char* kReadScope = "automodel: read the step before";

/// Picks out of what the host did (calls and the two scopes) and what the device did the waits that began in a scope.
HostWaits find_waits(const std::vector<ProfiledSpan>& host, const std::vector<ProfiledSpan>& device);

/// Records from its making to finish(). On a GPU its kernels, else libtorch's operators. One at a time in a process.
class Profiler {
 public:
  explicit Profiler(c10::Device device);
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  /// Runs `work` as the launch of a step, or as the reading of the one before.
  static void launch(const std::function<void()>& work);
  static void read(const std::function<void()>& work);

  /// Waits for the device; writes a Chrome trace (chrome://tracing, Perfetto) unless `trace` is empty. What was
  /// measured is returned also where that file cannot be written: `unsaved` says why.
  ProfileSummary finish(int64_t steps, const std::filesystem::path& trace);

 private:
  c10::Device device_;
  bool running_ = true;
};

}  // namespace automodel::recipes
