// Runs the built program as a user would: arguments in, exit code and both streams out.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "automodel/base/testing.h"

namespace automodel::program {

using Arguments = std::vector<std::string>;

/// What a process left behind. `exit_code` is 128 + n for a process that a signal n ended, and -1 for one that had to
/// be killed because it ran longer than a minute.
struct Finished {
  int exit_code = -1;
  std::string out, err;
};

struct Setting {
  std::string input;                               // its standard input
  std::map<std::string, std::string> environment;  // over the test's own
  std::filesystem::path folder;                    // its working directory; "": the test's own
};

/// The program under test: env AUTOMODEL_BINARY, else the one of this build.
std::string binary();

/// A process that runs; the destructor kills it if it still does. One thread of its own, unless `setting` says
/// otherwise: the models here are tiny, and several tests may run side by side.
class Running {
 public:
  explicit Running(const Arguments& arguments, const Setting& setting = {}, const std::string& program = binary());
  ~Running();
  Running(const Running&) = delete;

  void send(int signal) const;
  /// Whether it has its own handler for the signal.
  bool handles(int signal) const;
  std::string err_so_far() const;
  /// Polls until `ready` says yes; false when the process ended or half a minute went by before.
  bool wait_until(const std::function<bool()>& ready);
  Finished wait();

 private:
  bool reap(bool block);

  std::filesystem::path streams_;
  pid_t pid_ = -1;
  int status_ = 0;
  bool ended_ = false;
};

/// Starts it and waits for its end.
Finished run(const Arguments& arguments, const Setting& setting = {}, const std::string& program = binary());

}  // namespace automodel::program
