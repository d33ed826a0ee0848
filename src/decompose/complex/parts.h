// Inside of lower_complex.cpp: what stands for a complex value, and the rules by family.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/complex_types.h"
#include "decompose/builder.h"
#include "decompose/tables.h"

namespace intaglio::decompose::complex_parts {

// Either `packed`, with both parts in a last dimension of two, or the parts; a missing part is zero. A real value is one
// without an imaginary part. Written as {real, imag}: what stands in braces is built in this order by every compiler.
struct Parts {
  Value* real = nullptr;
  Value* imag = nullptr;
  Value* packed = nullptr;

  static Parts pair(Value* packed) { return {nullptr, nullptr, packed}; }
  bool is_real() const { return packed == nullptr && imag == nullptr; }
};

enum class Part : uint8_t { real, imag };

// What is known of the program's complex values so far.
struct Known {
  std::unordered_map<const Value*, Parts> parts;
  std::map<std::pair<const Value*, Part>, Value*> constants;  // parts of packed constants
  std::unordered_set<const Value*> buffers;                   // pairs that the program writes to
  bool is_written = false;                                    // some op writes in place
};

// Builds what a node becomes.
class PartsBuilder {
 public:
  // New nodes stand before `position` (null: at the end) and inherit from `origin`.
  PartsBuilder(ExportedProgram& program, Known& known, Node* position, const Node& origin)
      : build(program, position, origin), node(origin), known_(known) {}

  GraphBuilder build;
  const Node& node;

  // The real type of the node's first result, or of its operand when that is complex and the result is not.
  DType real_type() const;
  bool is_written() const { return known_.is_written; }
  // New memory where the program writes in place: what is made of `x` must not be written through to it.
  Value* owned(Value* x) { return x && known_.is_written ? build("aten.clone.default", x) : x; }

  Parts parts(Value* value) const;
  Parts operand(std::string_view argument) const { return parts(node.tensor(argument)); }

  // Null when the part is zero.
  Value* part(const Parts& z, Part which);
  Value* real(const Parts& z) { return part(z, Part::real); }
  Value* imag(const Parts& z) { return part(z, Part::imag); }
  // Never null: zeros for a part that is missing.
  Value* real_or_zeros(const Parts& z);
  Value* imag_or_zeros(const Parts& z);
  Value* packed(const Parts& z);
  // One complex tensor, for the kernels that take it.
  Value* assembled(const Parts& z) { return build("aten.view_as_complex.default", packed(z)); }

  // A part of a written argument: of a tensor, a number or a list of tensors; nullopt when all of it is zero.
  std::optional<Argument> part(const Argument& written, Part which);

  // Sums and products in which a missing operand is zero.
  Value* sum(Value* x, Value* y);
  Value* difference(Value* x, Value* y);
  Value* product(Value* x, Value* y);
  Value* negative(Value* x) { return x ? build("aten.neg.default", x) : nullptr; }

  // The same for whichever form is there.
  template <typename Function>
  Parts each(const Parts& z, const Function& function) {
    if (z.packed) return Parts::pair(function(z.packed));
    return Parts{z.real ? function(z.real) : nullptr, z.imag ? function(z.imag) : nullptr};
  }

  // The node again with other arguments; its results are real, with another dimension of two when packed.
  std::vector<Value*> again(const std::function<Argument(const NamedArgument&)>& argument, bool packed = false);

 private:
  Known& known_;
};

using Results = std::vector<Parts>;
using Rule = Results (*)(PartsBuilder&);
struct RuleRow {
  Rule function;
  std::initializer_list<std::string_view> ops;
};

std::vector<RuleRow> arithmetic_rules();
std::span<const RuleRow> function_rules();
std::span<const RuleRow> fourier_rules();
std::vector<RuleRow> linear_rules();
std::span<const RuleRow> frame_rules();
// Of a node that holds sub-graphs.
Results with_lowered_bodies(PartsBuilder& b);

// ---- shared by families
bool is_complex_tensor(const Value* value);
Parts conjugated(PartsBuilder& b, const Parts& z);
Parts times(PartsBuilder& b, const Parts& x, const Parts& y);
Parts inverse(PartsBuilder& b, const Parts& z);
Value* squared_size(PartsBuilder& b, const Parts& z);
Value* size_of(PartsBuilder& b, const Parts& z);
Value* angle_of(PartsBuilder& b, const Parts& z);

// How much a transform divides by, as kernels count it.
enum class Scale : uint8_t { none, root, whole };
// The discrete Fourier transform over `dims`, all of it.
Parts transform(PartsBuilder& b, const Parts& z, const Ints& dims, Scale scale, bool forward);
// That of a real signal, the last of `dims` without its mirror image.
Parts half_transform(PartsBuilder& b, Value* x, const Ints& dims, Scale scale);
// The real signal with this half, `length` long in the last of `dims`.
Value* inverse_of_half(PartsBuilder& b, const Parts& z, const Ints& dims, Scale scale, const Argument& length);

}  // namespace intaglio::decompose::complex_parts
