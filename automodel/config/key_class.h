// What becomes of a key of the YAML file in this build.
#pragma once

#include <string_view>

namespace automodel::config {

enum class KeyClass {
  kObeyed,   ///< read and done
  kMapped,   ///< done in our own way, which the note names
  kInert,    ///< without effect: NeMo AutoModel ignores it too, or it tunes machinery of Python
  kLacking,  ///< valid, but this build cannot do it: exit code 3
};

constexpr std::string_view class_name(KeyClass key_class) {
  constexpr std::string_view kNames[] = {"obeyed", "mapped", "inert", "lacking"};
  return kNames[static_cast<int>(key_class)];
}

}  // namespace automodel::config
