// Language models for ExecuTorch's text runner (TextLLMRunner): what it asks of a program's shape, and the constant methods that tell
// it the rest.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <intaglio/edge.h>
#include <intaglio/program.h>

#pragma GCC visibility push(default)

namespace intaglio {

// The constant methods of a causal language model with this `forward`: lengths and the kind of prefill from the program, tokens from
// the folder that Hugging Face keeps a model in (`config.json`; where there are, `generation_config.json` and `tokenizer.json`).
//
//   get_max_seq_len       the most tokens of one call; longer prompts come in pieces
//   get_max_context_len   positions of the cache, or the same without one
//   use_kv_cache          a second input says where in the cache the tokens stand
//   enable_dynamic_shape  a prompt is one call, not a call for each token
//   get_bos_id, get_eos_ids (all that end a text), get_vocab_size
//
// A bad-input error that names the file, or the input or output of the program, which the runner would not understand:
// tokens int64[1, n] first, then at most positions int64[n]; one output, float[1, n, vocabulary] or float[1, vocabulary]; a
// tokenizer and stop tokens inside the vocabulary.
std::vector<ConstantMethod> text_runner_methods(const ExportedProgram& forward, const std::filesystem::path& folder);

// `given` replaces methods of the same name and is added to the others.
std::vector<ConstantMethod> overridden(std::vector<ConstantMethod> methods, std::vector<ConstantMethod> given);

// "get_eos_ids=[1, 106]": the value is JSON, a number, a boolean, a text or a list of these; else the text as it stands. A usage
// error without a name.
ConstantMethod parse_constant_method(const std::string& pair);

}  // namespace intaglio

#pragma GCC visibility pop
