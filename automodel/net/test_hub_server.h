// testdata/hub_server.py as a process, with repositories in a folder that is removed afterwards. For tests.
#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string>

#include "automodel/base/testing.h"

namespace automodel::net {

// One for the whole test program: Python takes its time to start.
class HubServer {
 public:
  HubServer() {
    std::string name = (std::filesystem::temp_directory_path() / "automodel-net-XXXXXX").string();
    if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
    folder = name;
    const std::string script = (source_folder() / "automodel/net/testdata/hub_server.py").string();
    const std::string repos = (folder / "repos").string();
    int in[2], out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
    process_ = ::fork();
    if (process_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      ::execlp("python3", "python3", "-B", script.c_str(), repos.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    std::string line;
    for (char c = 0; c != '\n' && ::read(out[0], &c, 1) == 1;) line += c;
    ::close(out[0]);
    if (std::sscanf(line.c_str(), "%d %d", &hub_port, &cdn_port) != 2)
      throw std::runtime_error("hub_server.py did not start: " + line);
  }
  ~HubServer() {
    ::close(input_);
    ::waitpid(process_, nullptr, 0);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
  std::filesystem::path folder;
  int hub_port = 0, cdn_port = 0;

 private:
  pid_t process_ = -1;
  int input_ = -1;
};

}  // namespace automodel::net
