// From annotations to groups: which tensors share one observer, and the spec it is built from.
//
// Every annotated input edge and every annotated output is an entry, in graph order. Entries are joined by explicit sharing
// (SharedQuantizationSpec) and implicitly: an input edge joins the other edges of the same tensor and the tensor's own
// output spec wherever the specs agree. All tensors of a group are observed by one observer.
//
// Tests: spec_map_test.cpp.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <intaglio/pt2e.h>
#include <intaglio/quantizer.h>

namespace intaglio::pt2e {

// user == null: the output of the value's producer, or a graph input itself.
struct SpecKey {
  Value* value = nullptr;
  const Node* user = nullptr;
  friend bool operator==(const SpecKey&, const SpecKey&) = default;
};
struct SpecKeyHash {
  size_t operator()(const SpecKey& key) const { return std::hash<const void*>()(key.value) * 31 + std::hash<const void*>()(key.user); }
};
SpecKey key_of(const EdgeOrValue& target);
std::string describe(const SpecKey& key);

struct SpecEntry {
  SpecKey key;
  std::optional<AnyQuantizationSpec> spec;  // nullopt: annotated to stay float
  std::string rule;
  bool implicit_sharing = true;
  size_t group = 0;
};

struct QuantizationGroup {
  std::optional<AnyQuantizationSpec> spec;  // never Shared; nullopt: stays float
  std::vector<size_t> entries;              // ascending
  std::vector<size_t> derived_from;         // groups, of a Derived spec
};

struct SpecMap {
  std::vector<SpecEntry> entries;
  std::vector<QuantizationGroup> groups;
  std::unordered_map<SpecKey, size_t, SpecKeyHash> index;

  const SpecEntry* find(Value* value, const Node* user) const;
};

// A usage error naming the tensor when sharing goes in a circle or refers to a tensor without a spec. Compat::torchao
// also refuses a group whose first entry in graph order only refers to a later one, as torchao does; by default the first
// entry with a spec of its own decides.
SpecMap resolve_specs(const Graph& graph, const Annotations& annotations, Compat compat);

}  // namespace intaglio::pt2e
