#pragma once
// MANIFEST: which segments count. One file, replaced whole (new file, sync, rename, sync of the folder): a seal, a rewrite and a
// retention are each one replacement, so a crash leaves the state before or after, never between.
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "history/frame.hpp"

namespace bavn::history {

struct SegmentMeta {
  std::uint32_t segment = 0;
  std::int32_t day = 0;
  bool rewritten = false;  // by the cold pass or an erasure
  bool packed = false;     // by the cold pass: nothing left to gain
  std::uint64_t file_bytes = 0;
  std::uint32_t frames = 0;
  std::uint64_t records = 0;
  std::uint64_t lines_bytes = 0;  // raw
  std::int64_t min_happened_us = 0, max_happened_us = 0;
  std::int64_t received_until_us = 0;
  std::set<Source> sources;
  friend bool operator==(const SegmentMeta&, const SegmentMeta&) = default;
};

struct Manifest {
  std::uint32_t next_segment = 1;  // numbers below were given out and never come back
  // The newest journal segment that was ever named here: an unnamed one up to it is a leftover, one above it was never sealed.
  std::uint32_t sealed_until = 0;
  std::vector<SegmentMeta> segments;
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

std::string encode(const Manifest& m);
Result<Manifest> decode_manifest(std::string_view bytes);

/// For the fuzzer: puts the right checksum in wherever a decoder of this folder would look for one.
void repair_checksums(std::string& bytes);

}  // namespace bavn::history
