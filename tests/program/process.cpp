#include "tests/program/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "automodel/base/file.h"

extern char** environ;

namespace automodel::program {
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

std::string binary() {
  const char* named = std::getenv("AUTOMODEL_BINARY");
  return named ? named : AUTOMODEL_BINARY;
}

static std::vector<std::string> environment_of(const Setting& setting) {
  auto wanted = setting.environment;
  wanted.emplace("OMP_NUM_THREADS", "1");
  std::vector<std::string> list;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    if (!wanted.count(text.substr(0, text.find('=')))) list.push_back(text);
  }
  for (const auto& [name, value] : wanted) list.push_back(name + "=" + value);
  return list;
}

static std::vector<char*> pointers(const std::vector<std::string>& list) {
  std::vector<char*> out;
  for (const auto& text : list) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

Running::Running(const Arguments& arguments, const Setting& setting, const std::string& program) {
  static int count = 0;
  streams_ =
      fs::temp_directory_path() / ("automodel_streams_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
  fs::create_directories(streams_);
  write_file_atomically(streams_ / "in", setting.input);
  Arguments words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const auto environment = environment_of(setting);
  const auto argv = pointers(words), envp = pointers(environment);
  const std::string in = streams_ / "in", out = streams_ / "out", err = streams_ / "err";

  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ > 0) return;
  ::dup2(::open(in.c_str(), O_RDONLY), 0);
  ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
  ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
  if (!setting.folder.empty() && ::chdir(setting.folder.c_str()) != 0) ::_exit(126);
  ::execve(argv[0], argv.data(), envp.data());
  ::_exit(127);
}

Running::~Running() {
  if (!ended_) {
    ::kill(pid_, SIGKILL);
    reap(true);
  }
  std::error_code ignored;
  fs::remove_all(streams_, ignored);
}

bool Running::reap(bool block) {
  if (!ended_) ended_ = ::waitpid(pid_, &status_, block ? 0 : WNOHANG) == pid_;
  return ended_;
}

void Running::send(int signal) const {
  if (!ended_) ::kill(pid_, signal);
}

bool Running::handles(int signal) const {
  std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1)) & 1;
  return false;
}

std::string Running::err_so_far() const { return read_file(streams_ / "err"); }

bool Running::wait_until(const std::function<bool()>& ready) {
  const auto limit = Clock::now() + std::chrono::seconds(30);
  while (!ready()) {
    if (reap(false) || Clock::now() > limit) return ready();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

Finished Running::wait() {
  const auto limit = Clock::now() + std::chrono::seconds(60);
  bool late = false;
  while (!reap(false)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (!late && Clock::now() > limit) {
      late = true;
      ::kill(pid_, SIGKILL);
    }
  }
  Finished finished;
  finished.exit_code = late ? -1 : WIFSIGNALED(status_) ? 128 + WTERMSIG(status_) : WEXITSTATUS(status_);
  finished.out = read_file(streams_ / "out");
  finished.err = read_file(streams_ / "err");
  return finished;
}

Finished run(const Arguments& arguments, const Setting& setting, const std::string& program) {
  return Running(arguments, setting, program).wait();
}

}  // namespace automodel::program
