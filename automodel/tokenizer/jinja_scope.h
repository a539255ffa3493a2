// Scopes: binds every name of a template to a slot, by jinja2's rules.
//
// jinja2 decides at compile time where a name lives. A scope (template, loop body, macro, block of set, with, filter,
// call, generation) that stores a name owns it from its start: on entry it takes the outer value, or nothing. A name
// that is only read belongs to the nearest outer scope that knows it; if none does, it is looked up in the variables on
// entry. An {% if %} opens no scope, but what only some of its branches store is looked up first. These rules make, for
// example, {% set %} in a loop invisible outside it.
#pragma once

#include "automodel/tokenizer/jinja_ast.h"

namespace automodel::tokenizer::jinja {

/// Fills in Expr::ref, Stmt::loads and the slots. Throws DataError{"name:line"} for what jinja2 refuses when it
/// compiles: unknown filters and tests (outside an if), assignments to `loop`.
void bind_names(Template& result);

}  // namespace automodel::tokenizer::jinja
