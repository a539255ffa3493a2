#include "automodel/config/knobs.h"

#include "automodel/base/error.h"

namespace automodel::config {

Knob& Knobs::add(const std::string& name, const char* meaning, const std::string& type) {
  Knob knob;
  knob.path = prefix_ + name;
  knob.meaning = meaning;
  knob.type = type;
  knobs_.push_back(std::move(knob));
  return knobs_.back();
}

void Knobs::target(const char* role, std::string& field) {
  std::string name = prefix_.empty() ? role : "_target_";
  Knob& knob = add(name, prefix_.empty() ? "what is run" : "which one", "");
  knob.role = role;
  knob.set = [&field, role](const Value& value) {
    const NameRow* row = find_name(role, value.text);
    field = row && !row->native.empty() ? std::string(row->native) : value.text;
  };
  knob.get = [&field] { return value_of(field); };
}

std::vector<std::string> Knobs::set_names(const std::string& prefix) const {
  std::vector<std::string> names;
  for (const Entry& entry : tree_->entries) {
    if (!entry.key.starts_with(prefix) || !entry.value.is_map()) continue;
    std::string name = entry.key.substr(prefix.size());
    if (name.empty()) names.push_back("default");
    if (name.size() > 1 && name[0] == '_') names.push_back(name.substr(1));
  }
  return names;
}

void Knobs::assign(std::string& field, const Value& value) {
  field = value.is_null() ? "" : value.is(Value::Kind::kBool) ? (value.boolean ? "true" : "false") : value.text;
}

void Knobs::assign(std::vector<std::string>& field, const Value& value) {
  field.clear();
  if (value.is_null()) return;
  if (!value.is_list()) {
    field.push_back(value.text);
    return;
  }
  for (const Value& item : value.items) field.push_back(item.text);
}

void Knobs::assign(std::array<double, 2>& field, const Value& value) {
  if (value.items.size() != 2) {
    throw ConfigError("", "expected two numbers, got " + to_yaml(value));
  }
  field = {value.items[0].number, value.items[1].number};
}

Value Knobs::value_of(const std::string& field) {
  if (field.empty()) return Value::null();
  if (field == "true" || field == "false") return Value::of(field == "true");
  return Value::of(field);
}

Value Knobs::value_of(const std::vector<std::string>& field) {
  std::vector<Value> items;
  for (const std::string& word : field) items.push_back(Value::of(word));
  return Value::list(std::move(items));
}

Value Knobs::value_of(const std::array<double, 2>& field) {
  return Value::list({Value::of(field[0]), Value::of(field[1])});
}

}  // namespace automodel::config
