// What a chat template leaves out of a conversation without a word: a message of a role that it does not know, tool
// calls, tools.
//
// Templates print what they have a branch for, and pass over the rest in silence. Asked is the template itself: the
// part is changed, and a rendering that does not change with it does not hold it. (A template that then fails has read
// it.)
#pragma once

#include <string>
#include <vector>

#include "automodel/tokenizer/chat_template.h"

namespace automodel::tokenizer {

struct LeftOut {
  enum class Part { Content, Calls, Tools };
  Part part = Part::Content;
  size_t message = 0;  // its index; 0 for tools
  std::string role;    // of the message
  bool operator==(const LeftOut&) const = default;
};

/// `variables` and `text` as given to and got from ChatTemplate::render. Looked at are texts that are not blank, the
/// last text of a list of parts, tool calls and tools. Renders once for each, for at most `max_renders`; where there
/// are more, those come first whose text is not found in `text`.
std::vector<LeftOut> find_left_out(const ChatTemplate& chat_template, const Json& variables, const std::string& text,
                                   size_t max_renders = 64, const RenderOptions& options = {});

/// "messages[3], of role 'tool', is not in what the chat template renders"
std::string describe(const LeftOut& left_out);

}  // namespace automodel::tokenizer
