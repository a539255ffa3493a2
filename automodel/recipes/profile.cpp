#include "automodel/recipes/profile.h"

#include <ATen/record_function.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "automodel/base/error.h"
#include "automodel/base/text.h"
#include "automodel/recipes/device.h"
#include "automodel/recipes/kineto_log.h"

namespace automodel::recipes {
namespace {

namespace kineto = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;

// The first word that is found in the name counts.
constexpr std::pair<const char*, const char*> kFamilies[] = {
    {"sdpa", "attention"},
    {"attention", "attention"},
    {"flash", "attention"},
    {"fmha", "attention"},
    {"write_offsets", "attention"},
    {"cudnn::fusion", "attention"},
    {"walk_dy", "adapters"},
    {"add_dropped", "adapters"},
    {"join_parts", "adapters"},
    {"AdamTensor", "optimizer"},
    {"rows_loss", "cross entropy"},
    {"cross_entropy", "cross entropy"},
    {"gated_", "activation"},
    {"silu", "activation"},
    {"gelu", "activation"},
    {"sum_chunks", "gradient norm"},
    {"finish(", "gradient norm"},
    {"Norm", "norms"},
    {"norm_backward", "norms"},
    {"Qkv", "rope"},
    {"turn_heads", "rope"},
    {"look_up", "embedding"},
    {"sum_runs", "embedding"},
    {"join_runs", "embedding"},
    {"embedding", "embedding"},
    {"copy_chunks", "adapters"},

    {"adam", "optimizer"},
    {"count_steps", "optimizer"},
    {"gemm", "products"},
    {"nvjet", "products"},
    {"cutlass", "products"},
    {"splitK", "products"},
    {"cublas", "products"},
    {"aten::mm", "products"},
    {"aten::addmm", "products"},
    {"aten::bmm", "products"},
    {"Memcpy", "copies"},
    {"Memset", "copies"},
    {"copy", "copies"},
    {"fill", "copies"},
};

std::vector<ProfileRow> longest_first(const std::map<std::string, ProfileRow>& rows) {
  std::vector<ProfileRow> sorted;
  for (const auto& [name, row] : rows) sorted.push_back(row);
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.ms > b.ms; });
  return sorted;
}

std::set<ActivityType> activities(c10::Device device) {
  if (device.is_cpu()) return {ActivityType::CPU};
  return {ActivityType::CPU, ActivityType::CUDA};
}

Json rows_json(const std::vector<ProfileRow>& rows, int64_t steps, const char* what = "launches_a_step") {
  Json out = Json::array();
  for (const auto& row : rows)
    out.push_back({{"name", row.name},
                   {"ms_a_step", row.ms / static_cast<double>(steps)},
                   {what, static_cast<double>(row.launches) / static_cast<double>(steps)}});
  return out;
}

bool is_scope(const std::string& name) { return name == kLaunchScope || name == kReadScope; }

std::string waits_text(const HostWaits& waits, int64_t steps) {
  const auto a_step = static_cast<double>(steps);
  const auto list = [&](const std::vector<ProfileRow>& rows) {
    std::string out;
    for (const auto& row : rows)
      out += fmt::format("{}{} {:.1f} times, {:.3f} ms", out.empty() ? "" : "; ", row.name,
                         static_cast<double>(row.launches) / a_step, row.ms / a_step);
    return out.empty() ? std::string("never") : out;
  };
  return "the host waited for the device, a step\n  while it launched the step: " + list(waits.launching) +
         "\n  while it read the numbers of the one before: " + list(waits.reading) + "\n";
}

}  // namespace

std::string kernel_family(const std::string& name) {
  for (const auto& [word, family] : kFamilies)
    if (name.find(word) != std::string::npos) return family;
  return "other";
}

ProfileSummary summarize(std::vector<ProfiledSpan> spans, int64_t steps) {
  AM_CHECK(steps > 0, "{} steps", steps);
  ProfileSummary summary{.steps = steps};
  if (spans.empty()) return summary;
  std::map<std::string, ProfileRow> families, kernels;
  const auto add = [&](const std::string& name, int64_t launches, double ms) {
    for (auto* row : {&families[kernel_family(name)], &kernels[name]}) row->launches += launches, row->ms += ms;
  };
  // Enclosing spans before what they enclose.
  std::sort(spans.begin(), spans.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin_ns, b.end_ns) < std::tie(b.begin_ns, a.end_ns);
  });
  std::map<int64_t, std::vector<const ProfiledSpan*>> open;  // of each lane, outermost first
  uint64_t covered_to = spans.front().begin_ns, covered = 0;
  for (const auto& span : spans) {
    auto& outer = open[span.lane];
    while (!outer.empty() && outer.back()->end_ns <= span.begin_ns) outer.pop_back();
    const double ms = static_cast<double>(span.end_ns - span.begin_ns) / 1e6;
    add(span.name, 1, ms);
    if (!outer.empty()) add(outer.back()->name, 0, -ms);
    outer.push_back(&span);
    if (span.end_ns > covered_to)
      covered += span.end_ns - std::max(covered_to, span.begin_ns), covered_to = span.end_ns;
  }
  for (auto* rows : {&families, &kernels})
    for (auto& [name, row] : *rows) row.name = name;
  summary.span_ms = static_cast<double>(covered_to - spans.front().begin_ns) / 1e6;
  summary.busy_ms = static_cast<double>(covered) / 1e6;
  summary.families = longest_first(families), summary.kernels = longest_first(kernels);
  return summary;
}

// CUDA's names may end in a version or a variant: cudaMemcpyAsync_v3020, cudaStreamSynchronize_ptsz.
static std::string call_of(const std::string& name) {
  return name.starts_with("cu") ? name.substr(0, name.find('_')) : name;
}

bool waits_for_device(const std::string& name) {
  if (name.starts_with("Memcpy DtoH")) return name.find("Pageable") != std::string::npos;
  static const std::set<std::string> kBlocking = {
      "cudaMemcpy",           "cudaMemcpy2D",          "cudaMemcpy3D", "cudaMemcpyPeer", "cudaMemcpyToSymbol",
      "cudaMemcpyFromSymbol", "cudaMemcpy2DFromArray", "cudaFree",     "cudaFreeHost",   "cuMemcpy",
      "cuMemcpyDtoH",         "cuMemcpyHtoD",          "cuMemcpyDtoD", "cuMemFree",      "cuMemFreeHost"};
  const auto call = call_of(name);
  return call.starts_with("cu") && (call.ends_with("Synchronize") || kBlocking.contains(call));
}

HostWaits find_waits(const std::vector<ProfiledSpan>& host, const std::vector<ProfiledSpan>& device) {
  std::map<std::string, ProfileRow> launching, reading;
  std::vector<const ProfiledSpan*> scopes;
  for (const auto& span : host)
    if (is_scope(span.name)) scopes.push_back(&span);
  for (const auto* spans : {&host, &device})
    for (const auto& span : *spans) {
      if (!waits_for_device(span.name)) continue;
      const auto within = std::find_if(scopes.begin(), scopes.end(), [&](const ProfiledSpan* scope) {
        return scope->begin_ns <= span.begin_ns && span.begin_ns <= scope->end_ns;
      });
      if (within == scopes.end()) continue;
      const auto name = call_of(span.name);
      auto& row = ((*within)->name == kLaunchScope ? launching : reading)[name];
      row.name = name;
      ++row.launches, row.ms += static_cast<double>(span.end_ns - span.begin_ns) / 1e6;
    }
  return {longest_first(launching), longest_first(reading)};
}

Json ProfileSummary::json() const {
  Json waiting;
  if (waits)
    waiting = {{"launching", rows_json(waits->launching, steps, "calls_a_step")},
               {"reading", rows_json(waits->reading, steps, "calls_a_step")}};
  return {{"steps", steps},
          {"span_ms", span_ms},
          {"busy_ms", busy_ms},
          {"idle_share", idle_share()},
          {"families", rows_json(families, steps)},
          {"kernels", rows_json(kernels, steps)},
          {"host_waits", waiting}};
}

std::string ProfileSummary::text() const {
  const auto a_step = static_cast<double>(steps);
  std::string out = fmt::format("profile      {} steps of {:.1f} ms; the device waited {:.1f} % of it\n", steps,
                                span_ms / a_step, 100 * idle_share());
  const auto table = [&](const std::vector<ProfileRow>& rows, size_t most, size_t width) {
    for (size_t i = 0; i < std::min(most, rows.size()); ++i)
      out +=
          fmt::format("  {:<{}} {:9.3f} ms a step {:5.1f} % {:8.1f} launches\n", rows[i].name.substr(0, width), width,
                      rows[i].ms / a_step, 100 * rows[i].ms / busy_ms, static_cast<double>(rows[i].launches) / a_step);
  };
  table(families, families.size(), 14);
  if (waits) out += waits_text(*waits, steps);
  out += "longest kernels\n";
  table(kernels, 20, 72);
  return out;
}

Profiler::Profiler(c10::Device device) : device_(device) {
  wait_for(device_);
  const KinetoLog log(device_.is_cuda());
  const torch::profiler::impl::ProfilerConfig config(torch::profiler::impl::ProfilerState::KINETO);
  kineto::prepareProfiler(config, activities(device_));
  kineto::enableProfiler(config, activities(device_),
                         {at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION, at::RecordScope::USER_SCOPE});
}

void Profiler::launch(const std::function<void()>& work) {
  RECORD_USER_SCOPE(kLaunchScope);
  work();
}

void Profiler::read(const std::function<void()>& work) {
  RECORD_USER_SCOPE(kReadScope);
  work();
}

Profiler::~Profiler() {
  if (running_) kineto::disableProfiler();
}

ProfileSummary Profiler::finish(int64_t steps, const std::filesystem::path& trace) {
  wait_for(device_);
  const KinetoLog log(device_.is_cuda());
  const auto result = kineto::disableProfiler();
  running_ = false;
  std::vector<ProfiledSpan> spans, host;
  for (const auto& event : result->events()) {
    const bool on_device = event.deviceType() == device_.type(), on_host = event.deviceType() == at::kCPU;
    const auto lane = on_host ? static_cast<int64_t>(event.startThreadId()) : event.deviceResourceId();
    const ProfiledSpan span{event.name(), lane, event.startNs(), event.endNs()};
    if (on_device && !is_scope(span.name)) spans.push_back(span);  // a GPU's lanes show the scopes again
    if (on_host) host.push_back(span);
  }
  std::optional<HostWaits> waits;
  if (!device_.is_cpu()) waits = find_waits(host, spans);
  auto summary = summarize(std::move(spans), steps);
  summary.waits = std::move(waits);
  if (trace.empty()) return summary;
  const auto unsaved = [&](const std::string& why) {
    summary.unsaved.emplace("benchmark.profile_path", fmt::format("'{}' could not be written{}", trace.string(), why));
  };
  try {
    result->save(trace.string());
    if (std::error_code none; !std::filesystem::exists(trace, none)) unsaved("");
  } catch (const std::exception& error) {
    unsaved(fmt::format(": {}", error.what()));
  }
  return summary;
}

}  // namespace automodel::recipes
