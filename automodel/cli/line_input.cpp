#include "automodel/cli/line_input.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/log.h"

namespace automodel::cli {

std::string Line::where() const { return fmt::format("{}:{}", file, number); }

Json Line::parse() const { return parse_json(text, file, number); }

std::string as_json(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::string shown_name(const std::string& file) { return file == "-" ? "<stdin>" : file; }

static void tell_of_terminal() {
  if (::isatty(STDIN_FILENO)) log_info("reading from the terminal; Ctrl-D ends the input");
}

static std::string reason() { return errno != 0 ? std::string(": ") + std::strerror(errno) : ""; }

void for_each_line(const std::string& file, const std::function<void(const Line&)>& f) {
  std::ifstream opened;
  if (file == "-") {
    tell_of_terminal();
  } else {
    if (std::filesystem::is_directory(file)) throw SystemError(file, "is a folder, expected a file");
    errno = 0;
    opened.open(file);
    if (!opened) throw SystemError(file, "cannot be opened" + reason());
  }
  std::istream& in = file == "-" ? std::cin : opened;
  Line line{"", shown_name(file), 1};
  errno = 0;
  for (; std::getline(in, line.text); ++line.number) {
    f(line);
    errno = 0;
  }
  if (in.bad() || (file == "-" && std::ferror(stdin))) throw SystemError(line.file, "cannot be read" + reason());
}

std::string read_input(const std::string& file) {
  if (file != "-") return read_file(file);
  tell_of_terminal();
  errno = 0;
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  if (std::cin.bad() || std::ferror(stdin)) throw SystemError("<stdin>", "cannot be read" + reason());
  return text;
}

}  // namespace automodel::cli
