// JsonCursor: walks over JSON text value by value without building a tree; for files whose bulk is one huge table.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace automodel::tokenizer {

class JsonCursor {
 public:
  JsonCursor(std::string_view text, std::string name) : text_(text), name_(std::move(name)) {}

  char peek();  // the first character of the next value, or 0 at the end
  bool take(char c);
  void expect(char c, const char* what);

  /// A string; the view points into the text, or into `buffer` if it holds escapes. Valid UTF-8.
  std::string_view string(std::string& buffer);
  /// An integer in [0, limit).
  long integer(long limit, const char* what);
  double number();
  /// The source of the next value, whatever it is, checked for brackets and strings only; nested at most 512 deep.
  std::string_view skip();

  /// Calls each(key) for every member of the object that comes next; it must consume the value.
  template <class Each>
  void object(Each each) {
    expect('{', "an object");
    if (take('}')) return;
    std::string buffer;
    do {
      const std::string_view key = string(buffer);
      expect(':', "':'");
      each(key);
    } while (take(','));
    expect('}', "',' or '}'");
  }

  /// Calls each() for every element of the list that comes next.
  template <class Each>
  void array(Each each) {
    expect('[', "a list");
    if (take(']')) return;
    do each();
    while (take(','));
    expect(']', "',' or ']'");
  }

  size_t at() const { return at_; }
  [[noreturn]] void fail(const std::string& text) const;

 private:
  void space();
  void escape(std::string& buffer);
  unsigned hex();

  std::string_view text_;
  std::string name_;
  size_t at_ = 0;
};

}  // namespace automodel::tokenizer
