#include "automodel/base/error.h"

namespace automodel {

static std::string compose(const std::string& where, const std::string& text, const std::string& hint) {
  std::string message = where.empty() ? text : where + ": " + text;
  if (!hint.empty()) message += "\n  hint: " + hint;
  return message;
}

Error::Error(const std::string& where, const std::string& text, const std::string& hint, int exit_code)
    : std::runtime_error(compose(where, text, hint)), exit_code_(exit_code) {}

void check_failed(const char* file, int line, const char* condition, const std::string& text) {
  throw CheckError(std::string(file) + ":" + std::to_string(line) + ": check failed: " + condition + ": " + text);
}

}  // namespace automodel
