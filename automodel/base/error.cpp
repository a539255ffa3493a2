#include "automodel/base/error.h"

#include <cstring>

namespace automodel {

static constexpr const char* kBeforeHint = "\n  hint: ";

static std::string compose(const std::string& where, const std::string& text, const std::string& hint) {
  std::string message = where.empty() ? text : where + ": " + text;
  if (!hint.empty()) message += kBeforeHint + hint;
  return message;
}

Error::Error(const std::string& where, const std::string& text, const std::string& hint, int exit_code)
    : std::runtime_error(compose(where, text, hint)),
      exit_code_(exit_code),
      message_size_(compose(where, text, "").size()) {}

std::string Error::hint() const {
  const char* rest = what() + message_size_;
  return *rest == 0 ? "" : rest + std::strlen(kBeforeHint);
}

void check_failed(const char* file, int line, const char* condition, const std::string& text) {
  throw CheckError(std::string(file) + ":" + std::to_string(line) + ": check failed: " + condition + ": " + text);
}

}  // namespace automodel
