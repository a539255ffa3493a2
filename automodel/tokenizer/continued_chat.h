// A chat whose last message is left open, for the model to go on with: transformers' continue_final_message.
//
// As render_jinja_template of transformers 5.17 does it: a tag is put behind the last message's text, the template
// renders, and the text ends where the tag stands last. Where the template trimmed the blank behind the tag, blanks
// before it are cut off as well.
#pragma once

#include <string>

#include "automodel/tokenizer/chat_template.h"

namespace automodel::tokenizer {

/// `variables` as for ChatTemplate::render. `field` of the last message is continued: a text, or a list of parts, whose
/// last text is. Throws DataError for add_generation_prompt (the two exclude each other), an empty conversation, a last
/// message without that text, a template that does not name `field` or does not show the message, and what render()
/// throws.
Rendered render_continued(const ChatTemplate& chat_template, Json variables, const std::string& field = "content",
                          const RenderOptions& options = {});

}  // namespace automodel::tokenizer
