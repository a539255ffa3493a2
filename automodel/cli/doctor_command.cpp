// doctor: what this machine has, what is missing and how to mend it.
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/json.h"
#include "automodel/base/text.h"
#include "automodel/cli/commands.h"
#include "automodel/kernels/cuda/gpu_libraries.h"
#include "automodel/kernels/cuda/kernel_library.h"
#include "automodel/kernels/cuda/library.h"

namespace automodel::cli {

static std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return std::string(trim(line.substr(line.find(':') + 1)));
  return "unknown";
}

// Text for people and programs alike: one value a key, and notes that say what is missing.
struct Findings {
  Json report, notes = Json::array();

  void note(const std::string& text) {
    if (std::find(notes.begin(), notes.end(), Json(text)) == notes.end()) notes.push_back(text);
  }
  void note(const kernels::Unusable& fault) { note(fault.reason + (fault.hint.empty() ? "" : ": " + fault.hint)); }
};

static void report_gpus(Findings& to) {
  const auto& cuda = kernels::load_cuda();
  to.report["device"] = cuda.ready ? "cuda" : "cpu";
  to.report["gpu_driver"] =
      cuda.driver ? fmt::format("CUDA {}.{}", cuda.driver_version / 1000, cuda.driver_version % 1000 / 10) : "none";
  Json gpus = Json::array();
  for (const auto& gpu : cuda.gpus)
    gpus.push_back(fmt::format("{}, {:.1f} GiB, compute capability {}.{}, {} multiprocessors", gpu.name,
                               static_cast<double>(gpu.memory_bytes) / (1 << 30), gpu.major, gpu.minor,
                               gpu.multiprocessors));
  if (!gpus.empty()) to.report["gpus"] = gpus;
  if (!cuda.ready) to.note({cuda.reason, cuda.hint});
}

// Our kernels, whether or not there is a GPU for them.
static void report_kernels(Findings& to) {
  const auto library = kernels::open_kernel_library();
  to.report["kernels"] = library.fault ? "none" : library.path + " for " + library.archs;
  if (library.fault) return to.note(*library.fault);
  to.report["built_with"] = library.built_with();
  for (const auto& part : library.left_out()) to.note(part);
}

// NVIDIA's libraries, the same. libtorch's CUDA part loads only where all of them are.
static void report_libraries(Findings& to) {
  const auto found = kernels::find_gpu_libraries();
  std::vector<std::string> missing;
  for (const auto& library : found.libraries) {
    to.report[library.name] = library.version.empty() ? "none" : fmt::format("{} ({})", library.version, library.path);
    if (library.version.empty()) missing.push_back(fmt::format("{} ({})", library.name, library.fault));
  }
  if (const auto fault = kernels::judge_libraries(found.libraries)) to.note(*fault);
  for (const auto& note : kernels::other_versions(found.libraries)) to.note(note);
  if (!found.libtorch_fault.empty())
    to.note({fmt::format("libtorch's CUDA part cannot be loaded: {}", found.libtorch_fault), kernels::kSetupHint});
  if (!missing.empty()) to.note({"not found, and needed on a GPU: " + join(missing, ", "), kernels::kSetupHint});
}

int run_doctor(bool json) {
  Findings found;
  auto& report = found.report;
  report = {{"version", AUTOMODEL_VERSION},
            {"libtorch", kernels::loaded_libtorch()},
            {"cpu", cpu_model()},
            {"threads", at::get_num_threads()}};
#if defined(__x86_64__)
  report["instructions"] = __builtin_cpu_supports("avx512f") ? "AVX-512"
                           : __builtin_cpu_supports("avx2")  ? "AVX2"
                                                             : "SSE";
#endif
  if (const auto note = kernels::judge_libtorch(kernels::loaded_libtorch(), TORCH_VERSION); !note.empty())
    found.note(note);
  report_gpus(found);
  report_kernels(found);
  report_libraries(found);
  if (report.value("instructions", "AVX2") == "SSE") found.note("this CPU has no AVX2: training will be slow");
  if (at::get_num_threads() == 1) found.note("one thread only: set OMP_NUM_THREADS to the number of cores");
  report["notes"] = found.notes;
  if (json) {
    std::cout << report.dump(2) << "\n";
    return 0;
  }
  for (const auto& [key, value] : report.items())
    if (key != "notes")
      std::cout << fmt::format("{:<14} {}\n", key,
                               value.is_string()  ? value.get<std::string>()
                               : value.is_array() ? join(value.get<std::vector<std::string>>(), "; ")
                                                  : value.dump());
  for (const auto& note : found.notes) std::cout << "note: " << note.get<std::string>() << "\n";
  if (found.notes.empty()) std::cout << "nothing is missing\n";
  return 0;
}

}  // namespace automodel::cli
