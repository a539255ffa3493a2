#include "automodel/recipes/kineto_log.h"

#include <iostream>
#include <regex>

#include "automodel/base/log.h"
#include "automodel/base/text.h"

namespace automodel::recipes {

// Names of the calls that tell how many GPUs there are, and which.
static bool asks_for_gpus(const std::string& line) {
  for (const char* call : {"gpuGetDeviceCount", "gpuGetDeviceProperties"})
    if (line.find(call) != std::string::npos) return true;
  return false;
}

std::vector<std::string> kineto_faults(const std::string& text, bool expects_gpu) {
  // "ERROR:2026-11-24 00:10:07 11677:11677 DeviceProperties.cpp:48] text"
  static const std::regex stamp("^(INFO|WARNING|STAGE|ERROR):[-0-9]+ [:0-9]+ [0-9]+:[0-9]+ ");
  std::vector<std::string> faults;
  for (const auto& line : split(text, '\n')) {
    if (trim(line).empty() || (!expects_gpu && asks_for_gpus(line))) continue;
    faults.push_back(std::regex_replace(line, stamp, ""));
  }
  return faults;
}

KinetoLog::KinetoLog(bool expects_gpu) : expects_gpu_(expects_gpu), before_(std::cerr.rdbuf(taken_.rdbuf())) {}

KinetoLog::~KinetoLog() {
  std::cerr.rdbuf(before_);
  for (const auto& fault : kineto_faults(taken_.str(), expects_gpu_)) log_warning("the profiler: " + fault);
}

}  // namespace automodel::recipes
