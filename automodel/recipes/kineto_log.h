// What Kineto, libtorch's profiler, says of itself.
#pragma once

#include <sstream>
#include <streambuf>
#include <string>
#include <vector>

namespace automodel::recipes {

/// Takes what is written to std::cerr while it lives, as Kineto does, and gives it on when it ends, line by line as
/// warnings. On a machine whose CPU alone is profiled, lines that say that there is no GPU are left out: Kineto looks
/// for one whatever it is asked for.
class KinetoLog {
 public:
  explicit KinetoLog(bool expects_gpu);
  ~KinetoLog();
  KinetoLog(const KinetoLog&) = delete;
  KinetoLog& operator=(const KinetoLog&) = delete;

 private:
  bool expects_gpu_;
  std::ostringstream taken_;
  std::streambuf* before_;
};

/// The lines of Kineto's `text` that its user must see, without its stamp of level, time and process.
std::vector<std::string> kineto_faults(const std::string& text, bool expects_gpu);

}  // namespace automodel::recipes
