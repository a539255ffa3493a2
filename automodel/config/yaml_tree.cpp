#include "automodel/config/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "automodel/base/error.h"
#include "automodel/base/file.h"
#include "automodel/base/text.h"
#include "automodel/config/interpolate.h"
#include "automodel/config/missing_file.h"
#include "automodel/config/yaml_scalar.h"

namespace automodel::config {

namespace {

std::string where(const std::string& name, Place place) {
  return fmt::format("{}:{}:{}", name, place.line, place.column);
}

// Builds the tree from the parser's events; yaml-cpp's own tree keeps no places of keys and quietly takes the last of
// two equal keys.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const std::string& name) : name_(name) {}

  Value take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Value value;
    value.place = place_of(mark);
    add(value, anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    Value value;
    if (tag == "?") {
      value = resolve_plain_scalar(text);
    } else if (!resolve_tagged_scalar(tag, text, value)) {
      throw ConfigError(where(name_, place_of(mark)), fmt::format("the value {} does not fit the tag {}", text, tag),
                        "only YAML's own tags (!!str, !!int, !!float, !!bool, !!null, !!seq, !!map) are read");
    }
    value.quoted = tag == "!";
    value.place = place_of(mark);
    if (value.is_null() || !value.text.empty()) value.text = text;
    add(value, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      throw ConfigError(where(name_, place_of(mark)), "an alias inside the value that it stands for");
    }
    used_.insert(anchor);
    count_nodes(found->second, mark);
    Value copy = found->second;
    add(copy, 0);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    start(mark, tag, anchor, Value::Kind::kList, "seq");
  }
  void OnSequenceEnd() override { end(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    start(mark, tag, anchor, Value::Kind::kMap, "map");
  }
  void OnMapEnd() override { end(); }

 private:
  struct Open {
    Value value;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key;
    Place key_place;
    std::vector<Value> merged;  // what `<<` refers to, first wins
  };

  static Place place_of(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

  void start(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Value::Kind kind,
             const char* name) {
    if (tag != "?" && tag != "!" && !tag.empty() && tag != std::string("tag:yaml.org,2002:") + name) {
      throw ConfigError(where(name_, place_of(mark)), "unknown tag " + tag);
    }
    Open open;
    open.value.kind = kind;
    open.value.place = place_of(mark);
    open.anchor = anchor;
    if (!stack_.empty() && stack_.back().value.is_map() && !stack_.back().has_key) {
      throw ConfigError(where(name_, open.value.place), "a key must be a word, not a list or mapping");
    }
    stack_.push_back(std::move(open));
    if (stack_.size() > kMaxDepth) {
      throw ConfigError(where(name_, place_of(mark)), fmt::format("nested deeper than {} levels", kMaxDepth));
    }
  }

  void end() {
    Open open = std::move(stack_.back());
    stack_.pop_back();
    for (const Value& source : open.merged) merge(open.value, source);
    if (stack_.empty()) {
      for (auto [anchor, key] : owners_) {
        if (Value* holder = open.value.find(key); holder && used_.contains(anchor)) holder->anchor_used = true;
      }
    }
    add(open.value, open.anchor);
  }

  static void merge(Value& into, const Value& source) {
    for (const Entry& entry : source.entries) {
      if (!into.find(entry.key)) into.entries.push_back(entry);
    }
  }

  void add(Value& value, YAML::anchor_t anchor) {
    if (++nodes_ > kMaxNodes) too_many(value.place);
    if (anchor) {
      anchors_[anchor] = value;
      if (!stack_.empty()) owners_[anchor] = stack_.front().key;
    }
    if (stack_.empty()) {
      root_ = value;
      return;
    }
    Open& parent = stack_.back();
    if (parent.value.is_list()) {
      parent.value.items.push_back(value);
    } else if (!parent.has_key) {
      take_key(parent, value);
    } else {
      parent.has_key = false;
      if (parent.key == "<<") {
        add_merge(parent, value);
      } else {
        parent.value.entries.push_back({parent.key, parent.key_place, value});
      }
    }
  }

  void take_key(Open& parent, const Value& key) {
    if (key.is_map() || key.is_list()) throw ConfigError(where(name_, key.place), "a key must be a word");
    parent.key = key.text;
    parent.key_place = key.place;
    parent.has_key = true;
    if (const Value* old = parent.value.find(parent.key); old && parent.key != "<<") {
      throw ConfigError(
          where(name_, key.place),
          fmt::format("{} stands twice in this mapping (its other value is in line {})", parent.key, old->place.line),
          "remove one of them");
    }
  }

  void add_merge(Open& parent, const Value& value) {
    if (value.is_map()) {
      parent.merged.push_back(value);
      return;
    }
    bool all_maps = value.is_list();
    for (const Value& item : value.items) all_maps = all_maps && item.is_map();
    if (!all_maps) throw ConfigError(where(name_, value.place), "<<: takes a mapping or a list of mappings");
    for (const Value& item : value.items) parent.merged.push_back(item);
  }

  void count_nodes(const Value& value, const YAML::Mark& mark) {
    if (++nodes_ > kMaxNodes) too_many(place_of(mark));
    for (const Value& item : value.items) count_nodes(item, mark);
    for (const Entry& entry : value.entries) count_nodes(entry.value, mark);
  }

  [[noreturn]] void too_many(Place place) {
    throw ConfigError(where(name_, place), fmt::format("more than {} values", kMaxNodes));
  }

  std::string name_;
  std::vector<Open> stack_;
  Value root_;
  std::map<YAML::anchor_t, Value> anchors_;
  std::set<YAML::anchor_t> used_;
  std::map<YAML::anchor_t, std::string> owners_;  // the section in which an anchor stands
  size_t nodes_ = 0;
};

int depth_of(const Value& value) {
  int depth = 0;
  for (const Value& item : value.items) depth = std::max(depth, depth_of(item));
  for (const Entry& entry : value.entries) depth = std::max(depth, depth_of(entry.value));
  return depth + 1;
}

void resolve_strings(Value& value, std::string_view key, const Environment& environment) {
  for (Value& item : value.items) resolve_strings(item, key, environment);
  for (Entry& entry : value.entries) resolve_strings(entry.value, entry.key, environment);
  if (value.is_string() && key != "_target_" && !key.ends_with("_fn")) resolve_string(value, environment);
}

}  // namespace

Value parse_plain_yaml(std::string_view text, const std::string& name) {
  if (text.size() > kMaxFileBytes) {
    throw ConfigError(name, fmt::format("larger than {}: not a recipe", format_bytes(kMaxFileBytes)));
  }
  if (size_t bad = find_invalid_utf8(text); bad != std::string::npos) {
    auto line = 1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(bad), '\n');
    throw ConfigError(fmt::format("{}:{}", name, line), "not UTF-8 text");
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(name);
    if (!parser.HandleNextDocument(builder)) return {};
    Value root = builder.take_root();
    TreeBuilder second(name);
    if (parser.HandleNextDocument(second)) throw ConfigError(name, "more than one YAML document in the file");
    return root;
  } catch (const YAML::Exception& fault) {
    throw ConfigError(where(name, {fault.mark.line + 1, fault.mark.column + 1}), "not valid YAML: " + fault.msg);
  }
}

Value parse_yaml(std::string_view text, const std::string& name, const Environment& environment) {
  Value root = parse_plain_yaml(text, name);
  if (root.is_null()) root.kind = Value::Kind::kMap;
  if (!root.is_map()) {
    throw ConfigError(where(name, root.place),
                      "expected a mapping of sections, got " + std::string(kind_name(root.kind)));
  }
  if (depth_of(root) > kMaxDepth) throw ConfigError(name, fmt::format("nested deeper than {} levels", kMaxDepth));
  resolve_strings(root, "", environment);
  return root;
}

// A path that is mistyped is a fault of the command line, not of the machine.
static void check_is_file(const std::filesystem::path& path) {
  std::error_code failed;
  const auto type = std::filesystem::status(path, failed).type();
  if (type == std::filesystem::file_type::directory)
    throw ConfigError(path.string(), "is a folder, expected a YAML file");
  if (type != std::filesystem::file_type::not_found) return;
  const MissingFile missing = describe_missing(path.string());
  throw ConfigError(
      "", missing.folder_is_there ? missing.text : fmt::format("{}: expected {}", path.string(), missing.text),
      missing.hint);
}

Value load_yaml(const std::filesystem::path& path, const Environment& environment) {
  check_is_file(path);
  return parse_yaml(read_file(path, kMaxFileBytes), path.string(), environment);
}

}  // namespace automodel::config
