#include "pte/writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <numeric>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/sha256.h"
#include "base/threads.h"
#include "pte/flatbuffer.h"

namespace intaglio::pte {
namespace {

constexpr uint64_t kSegmentAlignment = 128;
constexpr uint64_t kConstantAlignment = 16;
constexpr uint64_t kSmallestFile = 64;  // the runtime refuses less
constexpr size_t kHeaderSize = 32;
constexpr size_t kHeaderPosition = 8;

uint64_t align_up(uint64_t value, uint64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

// Offsets in the file are known only when the flatbuffer is built: chunks count from the start of the segments first.
class SegmentBuilder {
 public:
  explicit SegmentBuilder(Program& program) : program_(program) {}

  uint32_t add(Bytes bytes) {
    begin();
    append(bytes);
    return end();
  }
  // Buffers one after the other, each but the last padded.
  SubsegmentOffsets add_buffers(const std::vector<Bytes>& buffers, uint64_t alignment) {
    SubsegmentOffsets result;
    result.offsets.push_back(0);
    begin();
    for (const Bytes buffer : buffers) {
      position_ = start_ + align_up(position_ - start_, alignment);
      result.offsets.push_back(position_ - start_);
      append(buffer);
    }
    result.segment_index = end();
    return result;
  }

  std::vector<FileImage::Chunk> take_chunks() { return std::move(chunks_); }
  uint64_t size() const { return position_; }

 private:
  void begin() { start_ = position_ = align_up(position_, kSegmentAlignment); }
  void append(Bytes bytes) {
    if (!bytes.empty()) chunks_.push_back({position_, bytes});
    position_ += bytes.size();
  }
  uint32_t end() {
    program_.segments.push_back({start_, position_ - start_});
    // An empty segment takes no place: what follows starts where it would have.
    return static_cast<uint32_t>(program_.segments.size() - 1);
  }

  Program& program_;
  std::vector<FileImage::Chunk> chunks_;
  uint64_t start_ = 0;
  uint64_t position_ = 0;
};

std::vector<std::pair<std::string, Bytes>> sorted_named_data(const SegmentData& data) {
  std::map<std::string, Bytes> by_key;
  for (const auto& [key, bytes] : data.named_data) {
    const auto [found, added] = by_key.emplace(key, bytes);
    const Bytes first = found->second;
    if (!added && first.data() != bytes.data() && !std::equal(first.begin(), first.end(), bytes.begin(), bytes.end()))
      throw_bug(fmt::format("delegates hold different data under the key '{}'", escaped(key)));
  }
  return {by_key.begin(), by_key.end()};
}

// Entries of equal bytes get one segment.
std::vector<uint32_t> add_shared(SegmentBuilder& segments, const std::vector<Bytes>& entries, int threads) {
  const std::vector<size_t> first = first_equal(entries, threads);
  std::vector<uint32_t> result(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) result[i] = first[i] == i ? segments.add(entries[i]) : result[first[i]];
  return result;
}

// Entries in their order, but the one that would need the most padding comes last, where none is written.
std::vector<size_t> least_padded_order(const std::vector<std::pair<std::string, Bytes>>& entries) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto padding = [&](size_t i) {
    const uint64_t size = entries[i].second.size();
    return align_up(size, kSegmentAlignment) - size;
  };
  const auto last = std::max_element(order.begin(), order.end(), [&](size_t a, size_t b) { return padding(a) < padding(b); });
  if (last != order.end()) std::rotate(last, last + 1, order.end());
  return order;
}

void put(std::vector<std::byte>& bytes, size_t position, const auto& value) { std::memcpy(bytes.data() + position, &value, sizeof value); }

// The flatbuffer with the header behind its identifier: everything moves by 32, only the root's offset counts from 0.
std::vector<std::byte> with_header(const std::vector<std::byte>& flatbuffer, FileLayout& layout, uint64_t segment_bytes) {
  std::vector<std::byte> head(flatbuffer.size() + kHeaderSize);
  std::copy_n(flatbuffer.begin(), kHeaderPosition, head.begin());
  std::copy(flatbuffer.begin() + kHeaderPosition, flatbuffer.end(), head.begin() + kHeaderPosition + kHeaderSize);
  uint32_t root = 0;
  std::memcpy(&root, flatbuffer.data(), sizeof root);
  put(head, 0, static_cast<uint32_t>(root + kHeaderSize));

  layout = {head.size(), align_up(head.size(), kSegmentAlignment), segment_bytes};
  std::memcpy(head.data() + kHeaderPosition, "eh00", 4);
  put(head, 12, static_cast<uint32_t>(kHeaderSize));
  put(head, 16, layout.program_size);
  put(head, 24, layout.segment_base_offset);
  put(head, 32, layout.segment_data_size);
  return head;
}

}  // namespace

std::vector<size_t> first_equal(std::span<const Bytes> entries, int threads) {
  std::unordered_map<size_t, std::vector<size_t>> by_size;
  for (size_t i = 0; i < entries.size(); ++i) by_size[entries[i].size()].push_back(i);
  std::vector<size_t> candidates;
  for (const auto& [size, indices] : by_size)
    if (indices.size() > 1) candidates.insert(candidates.end(), indices.begin(), indices.end());
  std::sort(candidates.begin(), candidates.end());

  std::vector<Sha256> digests(candidates.size());
  parallel_for(candidates.size(), thread_count(threads), [&](size_t i) { digests[i] = sha256(entries[candidates[i]]); });

  std::vector<size_t> result(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) result[i] = i;
  std::map<Sha256, size_t> first;
  for (size_t i = 0; i < candidates.size(); ++i) result[candidates[i]] = first.emplace(digests[i], candidates[i]).first->second;
  return result;
}

FileImage assemble(Program& program, const SegmentData& data, int threads) {
  program.segments.clear();
  program.mutable_data_segments.clear();
  program.named_data.clear();
  SegmentBuilder segments(program);
  program.constant_segment = segments.add_buffers(data.constants, kConstantAlignment);
  if (data.constants.empty()) program.constant_segment->offsets = {0};
  if (!data.mutable_state.empty()) program.mutable_data_segments.push_back(segments.add_buffers(data.mutable_state, 1));

  const std::vector<uint32_t> payloads = add_shared(segments, data.payloads, threads);
  size_t next_payload = 0;
  for (ExecutionPlan& plan : program.execution_plan)
    for (BackendDelegate& delegate : plan.delegates) {
      if (next_payload == payloads.size()) throw_bug("assemble: fewer payloads than delegates");
      delegate.in_segment = true;
      delegate.index = payloads[next_payload++];
    }
  if (next_payload != payloads.size()) throw_bug("assemble: more payloads than delegates");

  const auto named = sorted_named_data(data);
  const std::vector<size_t> order = least_padded_order(named);
  std::vector<Bytes> named_bytes;
  for (const size_t i : order) named_bytes.push_back(named[i].second);
  const std::vector<uint32_t> placed = add_shared(segments, named_bytes, threads);
  std::vector<uint32_t> named_segments(named.size());
  for (size_t i = 0; i < order.size(); ++i) named_segments[order[i]] = placed[i];
  for (size_t i = 0; i < named.size(); ++i) program.named_data.push_back({named[i].first, named_segments[i]});

  FileImage image;
  const std::vector<std::byte> flatbuffer = build_flatbuffer(program);
  if (segments.size() == 0) {
    image.head = flatbuffer;
    image.layout.program_size = flatbuffer.size();
  } else {
    image.head = with_header(flatbuffer, image.layout, segments.size());
  }
  image.chunks = segments.take_chunks();
  for (FileImage::Chunk& chunk : image.chunks) chunk.offset += image.layout.segment_base_offset;
  image.file_size = std::max(
      {kSmallestFile, static_cast<uint64_t>(image.head.size()), image.layout.segment_base_offset + image.layout.segment_data_size});
  return image;
}

void write_image(const FileImage& image, const std::function<void(Bytes)>& write) {
  static constexpr std::array<std::byte, kSegmentAlignment> kZeros{};
  uint64_t position = 0;
  const auto pad_to = [&](uint64_t target) {
    for (; position < target;) {
      const size_t count = std::min<uint64_t>(target - position, kZeros.size());
      write(Bytes(kZeros.data(), count));
      position += count;
    }
  };
  write(image.head);
  position = image.head.size();
  for (const FileImage::Chunk& chunk : image.chunks) {
    pad_to(chunk.offset);
    write(chunk.bytes);
    position += chunk.bytes.size();
  }
  pad_to(image.file_size);
}

std::vector<std::byte> image_bytes(const FileImage& image) {
  std::vector<std::byte> result;
  result.reserve(image.file_size);
  write_image(image, [&](Bytes bytes) { result.insert(result.end(), bytes.begin(), bytes.end()); });
  return result;
}

}  // namespace intaglio::pte
