// Weights of other files in a captured program: one exported graph serves every fine-tune of a model.
#pragma once

#include <filesystem>

#include <intaglio/program.h>

#pragma GCC visibility push(default)

namespace intaglio {

// Every parameter gets the tensor of its name: from a `.safetensors` file, from a folder with `model.safetensors` or with the shards that
// `model.safetensors.index.json` lists, or from such an index. Where the program wraps the model the names may lack its outer modules
// (`model.layers.0...` for `model.model.layers.0...`), and they may have some that the program has not (`module.`) where only one
// name ends so. Buffers that models compute themselves (`rotary_emb.inv_freq`, causal masks) may stand beside the weights. Of parameters
// that are one tensor one name is enough. Buffers are replaced where the file has them. float16 and bfloat16 are widened where the program
// is in float32. Nothing is read until it is used. A bad-input error names the file and the tensor: one that is missing or that the program
// has not, another shape or element type.
void replace_weights(ExportedProgram& program, const std::filesystem::path& file_or_folder);

}  // namespace intaglio

#pragma GCC visibility pop
