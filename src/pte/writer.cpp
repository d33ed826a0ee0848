#include "pte/writer.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/equal_blobs.h"
#include "pte/flatbuffer.h"

namespace intaglio::pte {
namespace {

constexpr uint64_t segment_alignment = 128;
constexpr uint64_t constant_alignment = 16;

uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

// Offsets in the file are known only when the flatbuffer is built: chunks count from the start of the segments first.
class SegmentBuilder {
 public:
  explicit SegmentBuilder(Program& program) : program_(program) {}

  uint32_t add(const Blob& blob) {
    begin();
    append(blob);
    return end();
  }
  // Buffers one after the other, each but the last padded.
  SubsegmentOffsets add_buffers(const std::vector<Blob>& buffers, uint64_t alignment) {
    SubsegmentOffsets result;
    result.offsets.push_back(0);
    begin();
    for (const Blob& buffer : buffers) {
      position_ = start_ + align_up(position_ - start_, alignment);
      result.offsets.push_back(position_ - start_);
      append(buffer);
    }
    result.segment_index = end();
    return result;
  }

  // The file's pieces behind its head, which ends before `base`.
  std::vector<Blob::Piece> take_pieces(uint64_t base) {
    for (Blob::Piece& piece : pieces_) piece.offset += base;
    return std::move(pieces_);
  }
  uint64_t size() const { return position_; }

 private:
  void begin() { start_ = position_ = align_up(position_, segment_alignment); }
  void append(const Blob& blob) {
    if (blob.empty()) return;
    pieces_.push_back({position_, blob});
    position_ += blob.size();
  }
  uint32_t end() {
    program_.segments.push_back({start_, position_ - start_});
    // An empty segment takes no place: what follows starts where it would have.
    return static_cast<uint32_t>(program_.segments.size() - 1);
  }

  Program& program_;
  std::vector<Blob::Piece> pieces_;
  uint64_t start_ = 0;
  uint64_t position_ = 0;
};

// Each key once, in the order in which they come: what belongs together is computed and read together.
std::vector<std::pair<std::string, Blob>> distinct_named_data(const SegmentData& data) {
  std::map<std::string_view, const Blob*> by_key;
  std::vector<std::pair<std::string, Blob>> distinct;
  for (const auto& [key, blob] : data.named_data) {
    const auto [found, added] = by_key.emplace(key, &blob);
    if (added) distinct.emplace_back(key, blob);
    else if (found->second->digest() != blob.digest())
      throw_bug(fmt::format("delegates hold different data under the key '{}'", escaped(key)));
  }
  return distinct;
}

// Entries of equal bytes get one segment.
std::vector<uint32_t> add_shared(SegmentBuilder& segments, const std::vector<Blob>& entries) {
  const std::vector<size_t> first = first_equal(entries);
  std::vector<uint32_t> result(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) result[i] = first[i] == i ? segments.add(entries[i]) : result[first[i]];
  return result;
}

// Gives the delegates their indices; returns the payloads that stand inside the flatbuffer.
std::vector<Blob> place_payloads(Program& program, const std::vector<Blob>& payloads, SegmentBuilder& segments) {
  std::vector<BackendDelegate*> delegates, in_segments;
  for (ExecutionPlan& plan : program.execution_plan)
    for (BackendDelegate& delegate : plan.delegates) delegates.push_back(&delegate);
  if (delegates.size() != payloads.size())
    throw_bug(fmt::format("assemble: {} payloads for {} delegates", payloads.size(), delegates.size()));
  std::vector<Blob> inside, outside;
  for (size_t i = 0; i < delegates.size(); ++i) {
    if (delegates[i]->in_segment) {
      in_segments.push_back(delegates[i]);
      outside.push_back(payloads[i]);
      continue;
    }
    delegates[i]->index = static_cast<uint32_t>(inside.size());
    inside.push_back(payloads[i]);
  }
  const std::vector<uint32_t> placed = add_shared(segments, outside);
  for (size_t i = 0; i < placed.size(); ++i) in_segments[i]->index = placed[i];
  return inside;
}

// Entries in their order, but the one that would need the most padding comes last, where none is written.
std::vector<size_t> least_padded_order(const std::vector<std::pair<std::string, Blob>>& entries) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto padding = [&](size_t i) {
    const uint64_t size = entries[i].second.size();
    return align_up(size, segment_alignment) - size;
  };
  const auto last = std::max_element(order.begin(), order.end(), [&](size_t a, size_t b) { return padding(a) < padding(b); });
  if (last != order.end()) std::rotate(last, last + 1, order.end());
  return order;
}

void put(std::vector<std::byte>& bytes, size_t position, const auto& value) { std::memcpy(bytes.data() + position, &value, sizeof value); }

// The flatbuffer with the header behind its identifier: everything moves by 32, only the root's offset counts from 0.
std::vector<std::byte> with_header(const std::vector<std::byte>& flatbuffer, FileLayout& layout, uint64_t segment_bytes) {
  std::vector<std::byte> head(flatbuffer.size() + header_size);
  std::copy_n(flatbuffer.begin(), header_position, head.begin());
  std::copy(flatbuffer.begin() + header_position, flatbuffer.end(), head.begin() + header_position + header_size);
  uint32_t root = 0;
  std::memcpy(&root, flatbuffer.data(), sizeof root);
  put(head, 0, static_cast<uint32_t>(root + header_size));

  layout = {head.size(), align_up(head.size(), segment_alignment), segment_bytes};
  std::memcpy(head.data() + header_position, "eh00", 4);
  put(head, 12, static_cast<uint32_t>(header_size));
  put(head, 16, layout.program_size);
  put(head, 24, layout.segment_base_offset);
  put(head, 32, layout.segment_data_size);
  return head;
}

// The runtime takes a segment without bytes for one that is not there, and with it the tensors in it, be they empty.
std::vector<Blob> with_some_byte(std::vector<Blob> buffers) {
  if (!buffers.empty() && std::ranges::all_of(buffers, &Blob::empty)) buffers.emplace_back(std::vector<std::byte>(1));
  return buffers;
}

}  // namespace

Blob assemble(Program& program, const SegmentData& data) {
  program.segments.clear();
  program.mutable_data_segments.clear();
  program.named_data.clear();
  SegmentBuilder segments(program);
  program.constant_segment = segments.add_buffers(with_some_byte(data.constants), constant_alignment);
  if (data.constants.empty()) program.constant_segment->offsets = {0};
  if (!data.mutable_state.empty()) program.mutable_data_segments.push_back(segments.add_buffers(data.mutable_state, 1));

  const std::vector<Blob> inside = place_payloads(program, data.payloads, segments);
  const auto named = distinct_named_data(data);
  const std::vector<size_t> order = least_padded_order(named);
  std::vector<Blob> blobs;
  for (const size_t i : order) blobs.push_back(named[i].second);
  const std::vector<uint32_t> placed = add_shared(segments, blobs);
  std::vector<uint32_t> named_segments(named.size());
  for (size_t i = 0; i < order.size(); ++i) named_segments[order[i]] = placed[i];
  for (size_t i = 0; i < named.size(); ++i) program.named_data.push_back({named[i].first, named_segments[i]});
  std::ranges::sort(program.named_data, {}, &NamedData::key);

  std::vector<std::byte> head = build_flatbuffer(program, inside);
  FileLayout layout;
  if (segments.size() > 0) head = with_header(head, layout, segments.size());
  std::vector<Blob::Piece> pieces = segments.take_pieces(layout.segment_base_offset);
  const uint64_t size =
      std::max({smallest_file, static_cast<uint64_t>(head.size()), layout.segment_base_offset + layout.segment_data_size});
  pieces.insert(pieces.begin(), {0, std::move(head)});
  return Blob::of_pieces(std::move(pieces), size);
}

}  // namespace intaglio::pte
