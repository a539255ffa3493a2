// Value: what a template computes with. Python's none, bool, int (64 bits), float, str, list, tuple, dict and the few
// objects that templates meet (namespace, range, macro, loop, generator, bound method). Sixteen bytes; objects are
// counted by reference without atomics, so a Value stays within one render (one thread); constants of a parsed template
// are immortal and shared.
//
// Lists and dicts never change once a template sees them (the sandbox forbids it), so cycles arise only through
// namespaces and closures; the Runtime keeps a list of those and empties them when the render ends.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "automodel/base/json.h"

namespace automodel::tokenizer::jinja {

enum class Kind : uint8_t {
  kMissing,  // no value at all: an unbound variable, an argument not given; templates never see it
  kNone,
  kBool,
  kInt,
  kFloat,
  kUndefined,  // first kind with an Object
  kStr,
  kList,
  kTuple,
  kDict,
  kDictView,
  kRange,
  kNamespace,
  kMacro,
  kFunction,
  kMethod,
  kLoop,
  kGenerator,
  kCycler,
  kJoiner,
  kSelf,
};

struct Object {
  explicit Object(Kind k) : kind(k) {}
  virtual ~Object() = default;
  uint32_t refs = 0;
  const Kind kind;
};
constexpr uint32_t kImmortal = UINT32_MAX;

void spend(uint64_t steps);    // charges the render of this thread; throws Fault when its steps are used up
void destroy(Object* object);  // iterative: a chain of a million lists does not exhaust the stack

class Value {
 public:
  Value() : kind_(Kind::kMissing), int_(0) {}
  Value(std::nullptr_t) : kind_(Kind::kNone), int_(0) {}
  Value(bool b) : kind_(Kind::kBool), int_(b) {}
  Value(int i) : kind_(Kind::kInt), int_(i) {}
  Value(int64_t i) : kind_(Kind::kInt), int_(i) {}
  Value(double d) : kind_(Kind::kFloat), float_(d) {}
  Value(const char*) = delete;
  explicit Value(Object* object) : kind_(object->kind), object_(object) { retain(); }
  Value(const Value& other) : kind_(other.kind_), int_(other.int_) { retain(); }
  Value(Value&& other) noexcept : kind_(other.kind_), int_(other.int_) { other.kind_ = Kind::kMissing; }
  Value& operator=(const Value& other) {
    Value copy(other);
    return *this = std::move(copy);
  }
  Value& operator=(Value&& other) noexcept {
    std::swap(kind_, other.kind_);
    std::swap(int_, other.int_);
    return *this;
  }
  ~Value() { release(); }

  Kind kind() const { return kind_; }
  bool is(Kind k) const { return kind_ == k; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_str() const { return kind_ == Kind::kStr; }
  bool is_int() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }  // Python: bool is an int
  bool is_number() const { return is_int() || kind_ == Kind::kFloat; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }
  bool has_object() const { return kind_ >= Kind::kUndefined; }

  bool as_bool() const { return int_ != 0; }
  int64_t as_int() const { return int_; }
  double as_float() const { return kind_ == Kind::kFloat ? float_ : static_cast<double>(int_); }
  Object* object() const { return object_; }
  template <class T>
  T& as() const {
    return *static_cast<T*>(object_);
  }
  std::string_view text() const;  // of a kStr

 private:
  void retain() {
    if (has_object() && object_->refs != kImmortal) ++object_->refs;
  }
  void release() {
    if (has_object() && object_->refs != kImmortal && --object_->refs == 0) destroy(object_);
  }
  Kind kind_;
  union {
    int64_t int_;
    double float_;
    Object* object_;
  };
};

/// `hint` is the whole message if not empty; otherwise it is made of `name` and, where there is one, the object that
/// lacks it.
struct Undefined : Object {
  Undefined() : Object(Kind::kUndefined) {}
  std::string hint, name, owner;
  bool unsafe = false;  // the sandbox forbids the attribute
  std::string message() const;
};

/// UTF-8. `text` points into `own` or at a string that outlives the render (the caller's JSON).
struct Str : Object {
  explicit Str(std::string&& s) : Object(Kind::kStr), own(std::move(s)), text(own) {}
  explicit Str(std::string_view s) : Object(Kind::kStr), text(s) {}
  std::string own;
  std::string_view text;
  mutable int64_t characters = -1;  // counted on first need
  bool markup = false;              // made by |safe or |escape: additions are escaped
  int64_t length() const;
  bool ascii() const { return length() == static_cast<int64_t>(text.size()); }
};

/// A list or a tuple. Lists of the caller's JSON are converted on first use, one level at a time.
struct List : Object {
  explicit List(Kind k = Kind::kList) : Object(k) {}
  std::vector<Value>& items() {
    if (source) convert();
    return items_;
  }
  const Json* source = nullptr;
  bool group = false;  // of |groupby: item 0 is .grouper, item 1 is .list

 private:
  void convert();
  std::vector<Value> items_;
};

struct Dict : Object {
  using Entry = std::pair<Value, Value>;
  Dict() : Object(Kind::kDict) {}
  std::vector<Entry>& entries() {
    if (source) convert();
    return entries_;
  }
  const Value* find(const Value& key);
  const Value* find(std::string_view key);
  void set(Value key, Value value);  // keeps the place of a key that is there
  const Json* source = nullptr;

 private:
  void convert();
  size_t slot(uint64_t hash, const Value& key) const;
  void grow();
  std::vector<Entry> entries_;
  std::vector<uint32_t> index_;  // open addressing, entry + 1; empty for up to eight entries
};

struct DictView : Object {
  enum class What : uint8_t { kKeys, kValues, kItems };
  DictView(Value d, What w) : Object(Kind::kDictView), dict(std::move(d)), what(w) {}
  Value dict;
  What what;
};

struct Range : Object {
  Range(int64_t a, int64_t b, int64_t s);
  int64_t start, stop, step, size;
};

struct Namespace : Object {
  Namespace() : Object(Kind::kNamespace) {}
  Value attributes;  // a kDict of its own
};

/// A lazy sequence that is read once: what Python's generators and iterators are. `next` returns false at the end.
struct Generator : Object {
  Generator(const char* type, std::function<bool(Value&)> f)
      : Object(Kind::kGenerator), type_name(type), next(std::move(f)) {}
  const char* type_name;
  std::function<bool(Value&)> next;
};

struct Cycler : Object {
  Cycler() : Object(Kind::kCycler) {}
  std::vector<Value> items;
  size_t position = 0;
};

struct Joiner : Object {
  explicit Joiner(Value s) : Object(Kind::kJoiner), separator(std::move(s)) {}
  Value separator;
  bool used = false;
};

Value make_str(std::string&& text);
Value make_str_view(std::string_view text);  // `text` must outlive the value
Value make_markup(std::string&& text);
Value make_list(std::vector<Value>&& items, Kind kind = Kind::kList);
inline Value make_tuple(std::vector<Value>&& items) { return make_list(std::move(items), Kind::kTuple); }
Value make_undefined(std::string_view name);
Value make_undefined_hint(std::string hint, std::string_view name = "");
Value from_json(const Json& json);  // `json` must outlive the value

inline std::string_view Value::text() const { return as<Str>().text; }

/// Python's name of the type: "str", "int", "NoneType", ... .
std::string type_name(const Value& value);

/// Equal as Python's == is: 1 == 1.0 == True; containers by content.
bool equal(const Value& a, const Value& b);
uint64_t hash(const Value& value);  // throws Fault for an unhashable one

}  // namespace automodel::tokenizer::jinja
