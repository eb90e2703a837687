#include "history/manifest.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "base/hash.hpp"

namespace bavn::history {

namespace {
constexpr std::string_view kMagic = "BVMAN1";
}

std::string encode(const Manifest& m) {
  std::vector<Source> sources;
  for (const SegmentMeta& s : m.segments) sources.insert(sources.end(), s.sources.begin(), s.sources.end());
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());

  std::string out;
  ByteWriter w(out);
  w.raw(kMagic);
  w.fixed(m.next_segment);
  w.fixed(m.sealed_until);
  w.varint(sources.size());
  for (const Source& s : sources) {
    w.text(s.name);
    w.fixed(s.municipality.value);
    w.fixed(s.tenant.value);
  }
  w.varint(m.segments.size());
  for (const SegmentMeta& s : m.segments) {
    w.fixed(s.segment);
    w.fixed(s.day);
    w.fixed(static_cast<std::uint8_t>((s.rewritten ? 1U : 0U) | (s.packed ? 2U : 0U)));
    w.varint(s.file_bytes);
    w.varint(s.frames);
    w.varint(s.records);
    w.varint(s.lines_bytes);
    w.zigzag(s.min_happened_us);
    w.zigzag(s.max_happened_us);
    w.zigzag(s.received_until_us);
    w.varint(s.sources.size());
    for (const Source& x : s.sources)
      w.varint(static_cast<std::uint64_t>(std::lower_bound(sources.begin(), sources.end(), x) - sources.begin()));
  }
  w.fixed(hash64(out));
  return out;
}

Result<Manifest> decode_manifest(std::string_view bytes) {
  const auto corrupt = [] { return fail(Code::corrupt, "the list of segments (MANIFEST) is damaged"); };
  if (!bytes.starts_with(kMagic) || bytes.size() < kMagic.size() + 8) return corrupt();
  const std::string_view body = bytes.substr(0, bytes.size() - 8);
  if (ByteReader(bytes.substr(body.size())).fixed<std::uint64_t>() != hash64(body)) return corrupt();
  ByteReader r(body.substr(kMagic.size()));
  Manifest m;
  m.next_segment = r.fixed<std::uint32_t>();
  m.sealed_until = r.fixed<std::uint32_t>();
  std::vector<Source> sources;
  for (std::uint64_t n = r.varint(); n > 0 && !r.bad(); --n) {
    Source s;
    s.name = r.text();
    s.municipality.value = r.fixed<std::uint16_t>();
    s.tenant.value = r.fixed<std::uint16_t>();
    sources.push_back(std::move(s));
  }
  for (std::uint64_t n = r.varint(); n > 0 && !r.bad(); --n) {
    SegmentMeta s;
    s.segment = r.fixed<std::uint32_t>();
    s.day = r.fixed<std::int32_t>();
    const auto flags = r.fixed<std::uint8_t>();
    s.rewritten = (flags & 1U) != 0;
    s.packed = (flags & 2U) != 0;
    s.file_bytes = r.varint();
    s.frames = static_cast<std::uint32_t>(r.varint());
    s.records = r.varint();
    s.lines_bytes = r.varint();
    s.min_happened_us = r.zigzag();
    s.max_happened_us = r.zigzag();
    s.received_until_us = r.zigzag();
    for (std::uint64_t k = r.varint(); k > 0 && !r.bad(); --k) {
      const std::uint64_t i = r.varint();
      if (i >= sources.size()) return corrupt();
      s.sources.insert(sources[i]);
    }
    m.segments.push_back(std::move(s));
  }
  if (r.bad() || r.left() != 0) return corrupt();
  return m;
}

void repair_checksums(std::string& bytes) {
  if (const auto length = frame_length(bytes); length && *length <= bytes.size()) {
    const std::uint64_t sum = hash64(std::string_view(bytes).substr(kFramePrefix, *length - kFramePrefix), *length);
    std::memcpy(bytes.data() + 8, &sum, sizeof sum);
  } else if (bytes.size() >= 8) {
    const std::uint64_t sum = hash64(std::string_view(bytes).substr(0, bytes.size() - 8));
    std::memcpy(bytes.data() + bytes.size() - 8, &sum, sizeof sum);
  }
}

}  // namespace bavn::history
