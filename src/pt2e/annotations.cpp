#include <intaglio/quantizer.h>

namespace intaglio {

const QuantizationAnnotation* Annotations::find(const Node* node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : &found->second;
}

QuantizationAnnotation* Annotations::find(const Node* node) {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : &found->second;
}

const QuantizationAnnotation* Annotations::find(const Value* input_or_part) const {
  const auto found = values_.find(input_or_part);
  return found == values_.end() ? nullptr : &found->second;
}

const QuantizationAnnotation* Annotations::find_producer(const Value* value) const {
  const Node* producer = value->producer();
  if (producer == nullptr) return find(value);
  // An annotation of a node speaks of its single result; parts of a tuple have their own.
  return producer->outputs().size() == 1 ? find(producer) : find(value);
}

bool Annotations::is_annotated(const Node* node) const {
  const QuantizationAnnotation* annotation = find(node);
  return annotation != nullptr && annotation->annotated;
}

bool Annotations::is_annotated(const Value* input_or_part) const {
  const QuantizationAnnotation* annotation = find(input_or_part);
  return annotation != nullptr && annotation->annotated;
}

const std::string* Annotations::refusal(const Node* node) const {
  const auto found = refusals_.find(node);
  return found == refusals_.end() || is_annotated(node) ? nullptr : &found->second;
}

}  // namespace intaglio
