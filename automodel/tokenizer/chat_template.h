// ChatTemplate: the Jinja subset that chat templates use, with Python's semantics, equal to jinja2 3.1.6 as
// transformers configures it (sandboxed, trim_blocks, lstrip_blocks, loop controls, {% generation %}, tojson without
// HTML escapes).
//
// Immutable after parse(); render() may be called from several threads at once. A template cannot reach a file, run
// code, loop without end or allocate without bound: steps, bytes and depth are limited, and exceeding them is a
// DataError.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::tokenizer {

struct Rendered {
  std::string text;
  std::vector<std::pair<size_t, size_t>> generation;  // bytes of `text` inside {% generation %}, in order

  /// A {% generation %} ran inside a macro, a {% set %} block, a filter block or a recursive loop: where its text ends
  /// up is not known, so `generation` lacks it and must not be used as a mask. (transformers gives wrong offsets for
  /// these.)
  bool generation_misplaced = false;
};

/// The bounds of one render; exceeding one is a DataError that says which. `max_depth` nested evaluations fit an 8 MiB
/// stack.
struct RenderOptions {
  std::optional<std::tm> now;  // what strftime_now() formats; local time if absent
  uint64_t max_steps = 20'000'000;
  uint64_t max_output_bytes = uint64_t{64} << 20;  // of the text, and of any one value
  uint64_t max_total_bytes = uint64_t{1} << 30;    // of all values made, dead ones included
  int max_depth = 1000;
};

class ChatTemplate {
 public:
  /// `name` (a file) starts the errors. Throws DataError{"name:line"} for a syntax error.
  static ChatTemplate parse(const std::string& source, const std::string& name = "chat template");
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  /// `variables` is an object: messages, tools, documents, add_generation_prompt, bos_token, ... . Absent ones are
  /// undefined. Throws DataError{"name:line"} for a template that raises or meets an undefined value.
  Rendered render(const Json& variables, const RenderOptions& options = {}) const;

  bool marks_generation() const;  // has {% generation %}
  const std::string& source() const;

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace automodel::tokenizer
