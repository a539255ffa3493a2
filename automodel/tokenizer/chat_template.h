// ChatTemplate: the Jinja subset that chat templates use, with Python's semantics, equal to jinja2 3.1.6 as transformers
// configures it (sandboxed, trim_blocks, lstrip_blocks, loop controls, {% generation %}, tojson without HTML escapes).
//
// Immutable after parse(); render() may be called from several threads at once. A template cannot reach a file, run code, loop
// without end or allocate without bound: steps and output size are limited, and exceeding them is a DataError.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::tokenizer {

struct Rendered {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generation;  // bytes of `text` inside {% generation %}, in order
};

class ChatTemplate {
 public:
  /// `name` (a file) starts the errors. Throws DataError{"name:line"} for a syntax error.
  static ChatTemplate parse(const std::string& source, const std::string& name = "chat template");
  ChatTemplate(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// `variables` is an object: messages, tools, documents, add_generation_prompt, bos_token, ... . Absent ones are undefined.
  /// Throws DataError{"name:line"} for a template that raises or meets an undefined value.
  Rendered render(const Json& variables) const;

  bool marks_generation() const;  // has {% generation %}

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace automodel::tokenizer
