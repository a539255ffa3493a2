// Unicode normal forms NFC, NFD, NFKC, NFKD with alignment, as the `tokenizers` library computes them.
//
// Text whose characters are all unaffected is found out in one pass and left alone; only the stretches around others
// are rewritten.
#pragma once

#include "automodel/tokenizer/normalized.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

/// Rewrites all of `from` into the empty `to`. Returns false, with `to` untouched, if nothing changes.
bool apply_normal_form(NormalForm form, const Normalized& from, Normalized& to);

}  // namespace automodel::tokenizer
