// What a key takes, written in one short text, and the check of a value against it.
//
//   bool  int  float  string  dtype  null  map  any      float takes integers too
//   text              any scalar, as it was written (names and ids that may look like numbers)
//   hub               a string "org/name"
//   int[1,]  float(0,1]  float[0,1)                      ranges, [ ] with and ( ) without the bound
//   =word             this word (also true, false or a number written so)
//   list<SPEC>        a list of these
//   dtype<A|B>        one of these dtypes, under any of its names
//   A|B               one or the other
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "automodel/config/value.h"

namespace automodel::config {

/// The value as its key's owner takes it (an integer as float, bf16 as bfloat16), or nothing when it does not fit.
/// Throws CheckError for a spec that is none.
std::optional<Value> match_type(std::string_view spec, const Value& value);

/// The spec in words: "an integer of at least 1, or None".
std::string type_in_words(std::string_view spec);

/// The words of a spec's =word alternatives.
std::vector<std::string> words_of_type(std::string_view spec);

/// "bfloat16" for bf16, bfloat16, torch.bfloat16; likewise float32, float16, float64. Nothing for other words.
std::optional<std::string> canonical_dtype(std::string_view text);

}  // namespace automodel::config
