// The faults a user can cause, one type each, and the check for faults a programmer causes.
//
// A user fault says what was expected, what came, where, and how to mend it; it is printed as one line plus a hint,
// without a stack trace, and ends the program with its exit code. Throw these by `throw ConfigError{...}`; only cli/
// catches them.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace automodel {

/// Base of all user faults. what() is the whole message: "[where: ]text[\n  hint: hint]".
class Error : public std::runtime_error {
 public:
  /// `where` may be empty: a key, file:line, tensor name. `hint` may be empty: what to do about it.
  Error(const std::string& where, const std::string& text, const std::string& hint = "", int exit_code = 1);
  int exit_code() const { return exit_code_; }
  /// The parts of what(): "[where: ]text", and the hint alone ("": none).
  std::string message() const { return std::string(what(), message_size_); }
  std::string hint() const;

 private:
  int exit_code_;
  size_t message_size_;  // bytes of what() before the hint
};

/// A wrong command line or configuration: `where` is "file:line: a.b.c", or the key alone. Exit code 2.
struct ConfigError : Error {
  ConfigError(const std::string& where, const std::string& text, const std::string& hint = "")
      : Error(where, text, hint, 2) {}
};

/// Valid, but it needs what this build lacks (a family, a data set, several ranks): exit code 3.
struct UnsupportedError : Error {
  UnsupportedError(const std::string& where, const std::string& text, const std::string& hint = "")
      : Error(where, text, hint, 3) {}
};

/// A row, template or token file that cannot be used: `where` is "file:line" or "file: row N". Exit code 1.
struct DataError : Error {
  using Error::Error;
};

/// A checkpoint that is missing, damaged or does not fit: `where` is the file or tensor. Exit code 1.
struct CheckpointError : Error {
  using Error::Error;
};

/// The numbers went wrong (NaN loss): `where` names step and tensor. Exit code 1.
struct NumericError : Error {
  using Error::Error;
};

/// The operating system refused: full disk, no permission. `where` is the path. Exit code 1.
struct SystemError : Error {
  using Error::Error;
};

/// A programmer fault: thrown by AM_CHECK, shown with file:line.
struct CheckError : std::logic_error {
  using std::logic_error::logic_error;
};
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& text);

}  // namespace automodel

/// Holds what must be true if our own code is right; `...` is a fmt format string with its arguments.
#define AM_CHECK(condition, ...) \
  (static_cast<bool>(condition)  \
       ? (void)0                 \
       : ::automodel::check_failed(__FILE__, __LINE__, #condition, ::fmt::format(__VA_ARGS__)))
