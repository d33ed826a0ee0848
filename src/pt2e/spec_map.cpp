#include "pt2e/spec_map.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pt2e {
namespace {

constexpr size_t none = static_cast<size_t>(-1);

// What implicit sharing compares. Absent fields are equal to absent ones.
struct Comparable {
  DType dtype;
  std::optional<bool> is_dynamic;
  std::optional<int64_t> quant_min, quant_max, ch_axis, zero_point;
  std::optional<QScheme> qscheme;
  std::optional<double> scale;
  bool has_axis = false;
  friend bool operator==(const Comparable&, const Comparable&) = default;
};

Comparable comparable(const AnyQuantizationSpec& spec) {
  if (const auto* plain = std::get_if<QuantizationSpec>(&spec))
    return {plain->dtype, plain->is_dynamic, plain->quant_min, plain->quant_max, plain->ch_axis, {}, plain->qscheme, {}, true};
  if (const auto* fixed = std::get_if<FixedQParamsQuantizationSpec>(&spec))
    return {fixed->dtype, false, fixed->quant_min, fixed->quant_max, {}, fixed->zero_point, fixed->qscheme, fixed->scale, false};
  const auto& derived = std::get<DerivedQuantizationSpec>(spec);
  return {derived.dtype, false, derived.quant_min, derived.quant_max, derived.ch_axis, {}, derived.qscheme, {}, true};
}

const SharedQuantizationSpec* shared(const SpecEntry& entry) {
  return entry.spec ? std::get_if<SharedQuantizationSpec>(&*entry.spec) : nullptr;
}

class Resolver {
 public:
  Resolver(const Graph& graph, const Annotations& annotations, Compat compat) : compat_(compat) {
    collect(graph, annotations);
    parent_.resize(map_.entries.size());
    std::iota(parent_.begin(), parent_.end(), size_t{0});
    concrete_ = parent_;
    for (size_t i = 0; i < concrete_.size(); ++i)
      if (shared(map_.entries[i]) != nullptr) concrete_[i] = none;
    pending_.resize(parent_.size());
    for (size_t i = 0; i < pending_.size(); ++i)
      if (shared(map_.entries[i]) != nullptr) pending_[i] = {i};
  }

  SpecMap resolve() {
    for (size_t i = 0; i < map_.entries.size(); ++i) join(i);
    number_groups();
    choose_specs();
    return std::move(map_);
  }

 private:
  void add(SpecKey key, const std::optional<AnyQuantizationSpec>& spec, const QuantizationAnnotation& annotation) {
    const auto [place, inserted] = map_.index.try_emplace(key, map_.entries.size());
    SpecEntry entry{key, spec, annotation.rule, annotation.allow_implicit_sharing, 0};
    if (inserted) map_.entries.push_back(std::move(entry));
    else map_.entries[place->second] = std::move(entry);  // the last word on an edge counts
  }

  void collect(const Graph& graph, const Annotations& annotations) {
    const auto add_value = [&](Value* value) {
      const QuantizationAnnotation* annotation = annotations.find(value);
      if (annotation != nullptr && annotation->output_qspec) add({value, nullptr}, annotation->output_qspec, *annotation);
    };
    for (Value* input : graph.inputs()) add_value(input);
    for (Node* node : graph.node_list()) {
      const QuantizationAnnotation* annotation = annotations.find(node);
      if (annotation == nullptr) continue;
      for (const auto& [value, spec] : annotation->input_qspec_map) add({value, node}, spec, *annotation);
      const bool single = node->outputs().size() == 1 && node->output()->is_tensor();
      if (annotation->output_qspec && single) add({node->output(), nullptr}, annotation->output_qspec, *annotation);
      if (!single)
        for (Value* part : node->outputs()) add_value(part);
    }
  }

  size_t find(size_t entry) {
    while (parent_[entry] != entry) entry = parent_[entry] = parent_[parent_[entry]];
    return entry;
  }

  size_t target_of(size_t entry) const {
    const SpecKey target = key_of(shared(map_.entries[entry])->target);
    const auto found = map_.index.find(target);
    if (found == map_.index.end())
      throw_usage(fmt::format("{} shares the quantization of {}, which no annotation quantizes; annotate that tensor too",
                              describe(map_.entries[entry].key), describe(target)));
    return found->second;
  }

  [[noreturn]] void report_cycle(size_t entry) const {
    throw_usage(
        fmt::format("{} shares its quantization in a circle: none of the tensors it leads to has a spec of its own; "
                    "give one of them a QuantizationSpec",
                    describe(map_.entries[entry].key)));
  }

  // The spec an entry leads to through explicit sharing; null: stays float.
  const AnyQuantizationSpec* root_spec(size_t entry) {
    return compat_ == Compat::torchao ? root_spec_by_roots(entry) : root_spec_by_groups(entry);
  }

  // torchao follows the spec of each tree's root, whichever entry that happens to be.
  const AnyQuantizationSpec* root_spec_by_roots(size_t entry) {
    for (size_t steps = 0; shared(map_.entries[entry]) != nullptr; ++steps) {
      if (steps > map_.entries.size()) report_cycle(entry);
      entry = find(target_of(entry));
    }
    const auto& spec = map_.entries[entry].spec;
    return spec ? &*spec : nullptr;
  }

  // The first concrete spec in graph order among the group's entries, else that of the groups it refers to.
  const AnyQuantizationSpec* root_spec_by_groups(size_t entry) {
    if (shared(map_.entries[entry]) == nullptr) return map_.entries[entry].spec ? &*map_.entries[entry].spec : nullptr;
    std::vector<size_t> queue = {find(entry)};
    std::unordered_set<size_t> seen = {queue.front()};
    for (size_t i = 0; i < queue.size(); ++i) {
      const size_t root = queue[i];
      if (concrete_[root] != none) {
        const auto& spec = map_.entries[concrete_[root]].spec;
        return spec ? &*spec : nullptr;
      }
      for (const size_t member : pending_[root]) {
        const size_t next = find(target_of(member));
        if (seen.insert(next).second) queue.push_back(next);
      }
    }
    report_cycle(entry);
  }

  void unite(size_t parent, size_t child) {
    const size_t root_parent = find(parent);
    const size_t root_child = find(child);
    if (root_parent == root_child) return;
    const bool parent_points_to_child = shared(map_.entries[root_parent]) != nullptr && target_of(root_parent) == root_child;
    const size_t root = parent_points_to_child ? root_child : root_parent;
    const size_t joined = parent_points_to_child ? root_parent : root_child;
    parent_[joined] = root;
    concrete_[root] = std::min(concrete_[root], concrete_[joined]);
    if (concrete_[root] != none) pending_[root].clear();  // nobody asks them any more
    else pending_[root].insert(pending_[root].end(), pending_[joined].begin(), pending_[joined].end());
    pending_[joined] = {};
  }

  void unite_if_same(size_t entry, size_t other, const AnyQuantizationSpec& spec) {
    const AnyQuantizationSpec* theirs = root_spec(other);
    if (theirs != nullptr && comparable(*theirs) == comparable(spec)) unite(other, entry);
  }

  // A value's uses in the order of its users; of those that are one group with one spec the first is enough.
  std::vector<size_t>& one_of_each_kind(Value& value) {
    const auto [place, is_new] = uses_.try_emplace(&value);
    if (is_new)
      for (const Node* user : value.users())
        if (const auto found = map_.index.find({&value, user}); found != map_.index.end()) place->second.push_back(found->second);
    return place->second;
  }

  void keep_one_of_each_kind(std::vector<size_t>& uses) {
    if (uses.size() < 2) return;
    std::unordered_map<size_t, std::vector<const AnyQuantizationSpec*>> seen;  // by group
    std::erase_if(uses, [&](size_t use) {
      const AnyQuantizationSpec* spec = root_spec(use);
      std::vector<const AnyQuantizationSpec*>& known = seen[find(use)];
      const bool repeats = std::ranges::any_of(known, [&](const AnyQuantizationSpec* other) {
        return spec == other || (spec != nullptr && other != nullptr && comparable(*spec) == comparable(*other));
      });
      if (!repeats) known.push_back(spec);
      return repeats;
    });
  }

  void join(size_t i) {
    const SpecEntry& entry = map_.entries[i];
    const SpecKey key = entry.key;
    if (key.user != nullptr && entry.implicit_sharing) {
      const AnyQuantizationSpec* spec = root_spec(i);
      if (spec != nullptr) {
        // Other users first: tying to the producer first could close a circle through it.
        std::vector<size_t>& others = one_of_each_kind(*key.value);
        for (const size_t other : others)
          if (other != i) unite_if_same(i, other, *spec);
        keep_one_of_each_kind(others);
        if (const auto made = map_.index.find({key.value, nullptr}); made != map_.index.end()) unite_if_same(i, made->second, *spec);
      }
    }
    if (shared(entry) != nullptr) unite(target_of(i), i);
  }

  void number_groups() {
    std::unordered_map<size_t, size_t> numbers;
    for (size_t i = 0; i < map_.entries.size(); ++i) {
      const auto [place, inserted] = numbers.try_emplace(find(i), map_.groups.size());
      if (inserted) map_.groups.emplace_back();
      map_.entries[i].group = place->second;
      map_.groups[place->second].entries.push_back(i);
    }
  }

  void choose_specs() {
    for (QuantizationGroup& group : map_.groups) {
      const size_t first = group.entries.front();
      if (compat_ == Compat::torchao && shared(map_.entries[first]) != nullptr)
        throw_usage(
            fmt::format("{} comes first in its sharing group but only refers to a later tensor; torchao refuses this, "
                        "compat=intaglio resolves it",
                        describe(map_.entries[first].key)));
      for (const size_t member : group.entries) {
        if (shared(map_.entries[member]) != nullptr) continue;
        group.spec = map_.entries[member].spec;
        break;
      }
      const bool only_shared =
          std::all_of(group.entries.begin(), group.entries.end(), [&](size_t member) { return shared(map_.entries[member]) != nullptr; });
      if (only_shared) report_cycle(first);
      find_sources(group);
    }
  }

  void find_sources(QuantizationGroup& group) const {
    if (!group.spec) return;
    const auto* derived = std::get_if<DerivedQuantizationSpec>(&*group.spec);
    if (derived == nullptr) return;
    for (const EdgeOrValue& source : derived->derived_from) {
      const auto found = map_.index.find(key_of(source));
      if (found == map_.index.end())
        throw_usage(fmt::format("the parameters of {} are derived from {}, which no annotation quantizes; annotate that tensor too",
                                describe(map_.entries[group.entries.front()].key), describe(key_of(source))));
      group.derived_from.push_back(map_.entries[found->second].group);
    }
  }

  Compat compat_;
  SpecMap map_;
  std::vector<size_t> parent_;
  std::vector<size_t> concrete_;              // of a root: its first entry with a spec of its own
  std::vector<std::vector<size_t>> pending_;  // of a root without one: its entries that refer to others
  std::unordered_map<const Value*, std::vector<size_t>> uses_;
};

}  // namespace

SpecKey key_of(const EdgeOrValue& target) {
  if (const auto* edge = std::get_if<QuantEdge>(&target)) return {edge->value, edge->user};
  return {std::get<Value*>(target), nullptr};
}

std::string describe(const SpecKey& key) {
  if (key.user == nullptr) return fmt::format("tensor '{}'", escaped(key.value->name()));
  return fmt::format("tensor '{}' as an input of {}", escaped(key.value->name()), describe(*key.user));
}

const SpecEntry* SpecMap::find(Value* value, const Node* user) const {
  const auto found = index.find({value, user});
  return found == index.end() ? nullptr : &entries[found->second];
}

SpecMap resolve_specs(const Graph& graph, const Annotations& annotations, Compat compat) {
  return Resolver(graph, annotations, compat).resolve();
}

}  // namespace intaglio::pt2e
