#include "automodel/tokenizer/chat_template.h"

#include "automodel/tokenizer/jinja_interpreter.h"
#include "automodel/tokenizer/jinja_parser.h"
#include "automodel/tokenizer/jinja_scope.h"

namespace automodel::tokenizer {

struct ChatTemplate::Impl {
  std::string source;
  std::unique_ptr<jinja::Template> tree;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

ChatTemplate ChatTemplate::parse(const std::string& source, const std::string& name) {
  auto impl = std::make_unique<Impl>();
  impl->source = source;
  impl->tree = jinja::parse_template(source, name);
  jinja::bind_names(*impl->tree);
  return ChatTemplate(std::move(impl));
}

Rendered ChatTemplate::render(const Json& variables, const RenderOptions& options) const {
  return jinja::Interpreter(*impl_->tree, variables, options).run();
}

bool ChatTemplate::marks_generation() const { return impl_->tree->marks_generation; }
const std::string& ChatTemplate::source() const { return impl_->source; }

}  // namespace automodel::tokenizer
