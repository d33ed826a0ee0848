// Tests as text: programs in, programs out, many cases in one `.test` file beside the code that it tests.
//
//   # what the file shows
//   pass: fold_constants
//
//   --- a transposed weight is stored transposed
//   parameter %p_w: f32[2, 3] 'w' = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
//   user %x: f32[3, 2]
//   %turned = aten.permute.default(%p_w, [1, 0])
//   %sum = aten.add.Tensor(%x, %turned)
//   output user %sum
//   ===>
//   ...
//
// Several passes, parted by commas, run one after the other; a case with a `pass:` line of its own, below its name, runs
// those. A refused program gives `KIND: message`. What is expected is all that is printed; INTAGLIO_UPDATE_GOLDEN=1 writes
// it anew. Programs are written as ir/parser.h says.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::test {

// Gives a case's result; errors may leave it.
using RunCase = std::function<std::string(const std::vector<std::string>& passes, const std::string& input)>;

// One GoogleTest `SUITE.file: name of the case` for every case of a `.test` file, or of those under a folder; `place`
// is written from the top of the checkout. To be called before main: `const bool registered = register_text_cases(...)`.
bool register_text_cases(const std::string& suite, const std::string& place, RunCase run);

// Runs named passes on the parsed program, verifies it, and prints it.
using ProgramPass = std::function<void(ExportedProgram&)>;
RunCase program_passes(std::map<std::string, ProgramPass> passes);

// Compares with a text that has a file of its own, written as `place` above and anew in the same way.
void expect_golden(const std::string& place, const std::string& text);

}  // namespace intaglio::test
